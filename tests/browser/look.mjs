// The browser, and what has to hold on every page whatever it says: no fault of accessibility, nothing wider than a phone,
// no complaint in the console, no request to anywhere but this machine. In light and dark, on a phone and on a desk.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const PHONE = { width: 320, height: 700 };
const DESK = { width: 1200, height: 900 };
const LOOKS = [
  ['phone-light', PHONE, 'light'], ['phone-dark', PHONE, 'dark'],
  ['desk-light', DESK, 'light'], ['desk-dark', DESK, 'dark'],
];
export const CHROMIUM = '/usr/bin/chromium';
// Root may not use Chromium's sandbox. Frames share the page's process: a press goes to a frame of another process by where
// that was when it was last drawn, and on a busy machine, or after another size, it is lost in the page behind without a word.
// The rest keeps the browser from asking the internet anything.
export const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-site-isolation-trials', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
const PATIENCE_MS = 60_000;
const STEP_MS = 600_000;

// Runs in the page. Elements and not only the document, because what is cut off does not make the document wider.
function tooWide() {
  const limit = document.documentElement.clientWidth;
  const wide = document.documentElement.scrollWidth > limit ? [`the document: ${document.documentElement.scrollWidth}`] : [];
  for (const element of document.body.querySelectorAll('*')) {
    const box = element.getBoundingClientRect();
    const seen = box.width > 1 && box.height > 1 && getComputedStyle(element).visibility === 'visible';
    if (seen && box.right > limit + 0.5) wide.push(`${element.tagName.toLowerCase()}.${element.className}: ${box.right}`);
  }
  return wide.slice(0, 3).map((one) => `${one} of ${limit} px`);
}

// In a frame that may not run scripts, axe cannot either.
async function isSandboxed(frame) {
  const element = frame.parentFrame() && await frame.frameElement();
  const rights = element && await element.getAttribute('sandbox');
  return rights !== null && !rights.includes('allow-scripts');
}

export class Eyes {
  static async open(tools, shots) {
    const require = createRequire(path.join(tools, 'node_modules', 'x'));
    const { chromium } = require('playwright-core');
    const eyes = new Eyes();
    eyes.browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    eyes.axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
    eyes.shots = shots;
    eyes.faults = [];
    eyes.steps = [];
    eyes.looks = 0;
    eyes.step = 'start';
    return eyes;
  }

  /// One part of the walk: what goes wrong in it is a fault with its name, and the walk goes on.
  async walk(name, work) {
    this.step = name;
    let stop;
    const late = new Promise((_, fail) => {
      stop = setTimeout(() => fail(new Error(`takes longer than ${STEP_MS} ms`)), STEP_MS);
    });
    try {
      await Promise.race([work(), late]);
      this.steps.push(name);
    } catch (error) {
      this.fault(`${error.stack ?? error}\n${await this.seen()}`);
    } finally {
      clearTimeout(stop);
    }
  }

  /// What the open pages and their frames say, for whoever has to find out why a step failed.
  async seen() {
    const pages = this.browser.contexts().flatMap((context) => context.pages());
    const said = pages.flatMap((page) => page.frames()).map(async (frame) => {
      const text = await frame.innerText('main', { timeout: 5000 }).catch(() => '(no text)');
      const name = frame.parentFrame() ? 'a frame' : 'a page';
      return `  ${name} says: ${text.replaceAll(/\s+/g, ' ').slice(0, 400)}`;
    });
    return (await Promise.all(said)).join('\n');
  }

  fault(text) {
    this.faults.push(`${this.step}: ${text}`);
  }

  check(isSo, what) {
    if (!isSo) this.fault(what);
  }

  /// A browser of its own: nothing kept from another. `expected` are complaints of the console that belong to the walk.
  async device({ script = true, expected = [], ...more } = {}) {
    const context = await this.browser.newContext({ viewport: DESK, colorScheme: 'light', javaScriptEnabled: script, ...more });
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy: ${event.effectiveDirective} refuses ${event.blockedURI}`);
      });
    });
    const complain = (text) => {
      if (!expected.some((pattern) => pattern.test(text))) this.fault(text);
    };
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complain(`console: ${message.text()} (${message.location().url})`);
    });
    context.on('weberror', (error) => complain(`script: ${error.error()}`));
    context.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && url.hostname !== '127.0.0.1') this.fault(`asks ${url.host} for something`);
    });
    return context;
  }

  /// Looks at a page as it stands, in all four ways, and leaves it on the desk, in light. Where scripts do not run axe does not either,
  /// so it looks at the same document in a page that runs no script but axe.
  async look(page, name, { script = true } = {}) {
    const forAxe = script ? page : await this.withoutScripts(page);
    for (const [way, viewport, colorScheme] of LOOKS) {
      for (const one of new Set([page, forAxe])) {
        await one.setViewportSize(viewport);
        await one.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      }
      const where = `${name}, ${way}`;
      await this.accessible(forAxe, where);
      await this.fits(page, where);
      if (this.shots) {
        const file = path.join(this.shots, `${name.replaceAll(/\W+/g, '-')}-${way}.png`);
        // The whole page, but for what covers it.
        await page.screenshot({ path: file, fullPage: page.frames().length === 1 });
      }
      this.looks += 1;
    }
    if (forAxe !== page) await forAxe.context().close();
    await page.setViewportSize(DESK);
    await page.emulateMedia({ colorScheme: 'light' });
  }

  /// The document of a page, alone, in a browser that could run scripts.
  async withoutScripts(page) {
    const html = (await page.content()).replaceAll(/<script\b.*?<\/script>/gs, '');
    const copy = await (await this.device()).newPage();
    await copy.setContent(html);
    return copy;
  }

  /// Nothing is wider than the window.
  async fits(page, where) {
    for (const frame of page.frames()) {
      for (const wide of await frame.evaluate(tooWide)) this.fault(`${where}: too wide: ${wide}`);
    }
  }

  /// No rule of accessibility is broken; of some rules only where they are named.
  async accessible(page, where, rules) {
    // Each frame for itself: axe does not see into frames of another origin, and Link is one.
    for (const frame of page.frames()) {
      if (await isSandboxed(frame)) continue;
      // It stays where only the content of a page is written anew.
      if (!await frame.evaluate(() => 'axe' in globalThis)) await frame.evaluate(this.axe);
      const run = (runOnly) => globalThis.axe.run(document, { resultTypes: ['violations'], iframes: false, ...(runOnly && { runOnly }) });
      const { violations, passes } = await frame.evaluate(run, rules);
      this.check(passes.length > (rules ? 0 : 5), `${where}: axe looked at nothing`);
      for (const { id, help, nodes } of violations) {
        this.fault(`${where}: axe ${id}: ${help}: ${nodes.map((node) => node.html).join(' | ').slice(0, 400)}`);
      }
    }
  }

  /// Waits for a heading that says this, and for the scripts below it: before them a press is one of a browser without any.
  async heading(page, text) {
    await page.getByRole('heading', { level: 1, name: text, exact: true }).waitFor();
    await page.waitForLoadState();
  }

  async close() {
    await this.browser.close();
  }
}

/// Presses what may take its own frame away. The browser does not always say that such a press is done: then it is enough
/// that what was pressed is gone.
export async function press(locator) {
  await locator.waitFor();
  const done = [locator.click(), locator.waitFor({ state: 'hidden' })];
  for (const one of done) one.catch(() => {});
  await Promise.race(done);
}

/// What has the focus, as a person with a screen reader hears it: its words.
export const focused = (frame) => frame.evaluate(() => document.activeElement?.textContent.trim() ?? '');

/// Presses Tab until the focus is on what has these words: with the keyboard alone, a person gets no further.
export async function tabTo(page, frame, words, most = 12) {
  for (let count = 0; count < most; count += 1) {
    await page.keyboard.press('Tab');
    if (await focused(frame) === words) return;
  }
  throw new Error(`the Tab key does not get to "${words}" within ${most} presses`);
}
