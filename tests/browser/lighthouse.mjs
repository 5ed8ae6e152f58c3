// What Lighthouse says of a page. It asks more than axe alone: one number, in which nothing may be missing.

import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { CHROMIUM, FLAGS } from './look.mjs';

const SETTINGS = { onlyCategories: ['accessibility'], output: 'json', maxWaitForLoad: 40_000 };

export async function lighthouse(eyes, { tools, links }) {
  const require = createRequire(path.join(tools, 'node_modules', 'x'));
  const load = (name) => import(pathToFileURL(require.resolve(name)));
  const [{ default: judge }, { default: puppeteer }] = [await load('lighthouse'), await load('puppeteer-core')];
  const browser = await puppeteer.launch({ executablePath: CHROMIUM, args: FLAGS, timeout: 120_000 });
  try {
    for (const [name, url] of Object.entries(links)) {
      await eyes.walk(name, async () => {
        const look = async () => (await judge(url, SETTINGS, undefined, await browser.newPage())).lhr;
        let lhr = await look();
        // Its own limit, half a minute for each command, is what a busy machine passes now and then.
        if (lhr.runtimeError?.code === 'PROTOCOL_TIMEOUT') lhr = await look();
        if (lhr.runtimeError) throw new Error(`${lhr.runtimeError.code}: ${lhr.runtimeError.message}`);
        const { score } = lhr.categories.accessibility;
        if (score === 1) return;
        const lost = Object.values(lhr.audits).filter((audit) => audit.score !== null && audit.score < 1);
        eyes.fault(`accessibility ${score * 100} of 100: ${lost.map((audit) => audit.title).join('; ')}`);
      });
    }
  } finally {
    await browser.close();
  }
}
