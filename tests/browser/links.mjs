// Links as mail scanners follow them, and links that have ended.

import { press } from './look.mjs';

const TIMES = 20;

/// Renders every page with its scripts, again and again. tests/it/browser.rs looks whether anything changed.
async function looked(eyes, links) {
  const device = await eyes.device({ expected: [/status of 410/] });
  const page = await device.newPage();
  for (let count = 0; count < TIMES; count += 1) {
    for (const url of links) {
      await device.request.fetch(url, { method: 'HEAD' });
      await page.goto(url);
    }
  }
  await device.close();
}

/// Presses all that can be pressed, on the page and in what opens from it, until nothing is left or enough was pressed.
async function pressedAll(eyes, url) {
  const device = await eyes.device({ expected: [/./] });
  const page = await device.newPage();
  await page.goto(url);
  // What the answer is waited for first: it may take its time.
  const [answered] = await Promise.all([
    page.waitForResponse((response) => /\/(link|preferences)$/.test(response.url())),
    page.locator('form button').first().click({ force: true, noWaitAfter: true }),
  ]);
  for (const element of await page.locator('button, input:not([type=hidden]), label, a[href^="#"]').all()) {
    if (await element.count() === 0) continue;
    await element.click({ force: true, noWaitAfter: true, timeout: 20_000 }).catch(() => {});
  }
  await answered.finished();
  await device.close();
}

export async function scanner(eyes, { links, pressed = [] }) {
  await eyes.walk('looking', () => looked(eyes, links));
  await eyes.walk('pressing', async () => {
    for (const url of pressed) await pressedAll(eyes, url);
  });
}

/// What the person does who comes after the scanner.
export async function repaired(eyes, { url }) {
  await eyes.walk('repaired after all', async () => {
    const device = await eyes.device();
    const page = await device.newPage();
    await page.goto(url);
    await page.locator('form button').click();
    await press(page.frameLocator('iframe').getByRole('button', { name: 'Log in', exact: true }));
    await page.getByRole('heading', { level: 1, name: /works again/ }).waitFor();
    await device.close();
  });
}

export async function ended(eyes, { old, fresh }) {
  if (old) {
    await eyes.walk('a link that ended', async () => {
      const device = await eyes.device({ expected: [/status of 410/] });
      const page = await device.newPage();
      await page.goto(old);
      await eyes.heading(page, 'This link no longer works');
      await eyes.look(page, 'link ended');
      await page.getByRole('button', { name: 'Email me a new link' }).click();
      await eyes.heading(page, 'Look into your emails');
      await eyes.look(page, 'link ended, sent');
      // The browser's own reload sends the form again; nobody gets a second letter.
      await page.reload();
      await eyes.heading(page, 'Look into your emails');
      await device.close();
    });
  }
  if (fresh) {
    await eyes.walk('the fresh link', async () => {
      const device = await eyes.device();
      const page = await device.newPage();
      await page.goto(fresh);
      await eyes.heading(page, 'Your bank connections');
      await device.close();
    });
  }
}
