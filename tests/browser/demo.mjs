// The demo's own pages: Plaid's stage and the mailbox, as a newcomer meets them.

import { press } from './look.mjs';

export async function demo(eyes, { plaid, mailbox }) {
  await eyes.walk('the stage', async () => {
    const device = await eyes.device();
    const page = await device.newPage();
    await page.goto(plaid);
    const item = page.locator('article').first();
    await item.getByRole('button', { name: 'Break the login' }).click();
    await page.getByRole('status').filter({ hasText: 'answered 200' }).first().waitFor();
    await eyes.look(page, 'demo stage');
    await page.locator('summary').first().click();
    await eyes.look(page, 'demo stage, a webhook');
    await device.close();
  });

  await eyes.walk('the mailbox', async () => {
    const device = await eyes.device();
    const page = await device.newPage();
    await page.goto(mailbox);
    await page.getByRole('link', { name: /reconnect/ }).first().waitFor();
    await eyes.look(page, 'demo mailbox');
    await page.getByRole('link', { name: /reconnect/ }).first().click();
    await page.frameLocator('#frame').getByRole('heading', { level: 1 }).waitFor();
    await eyes.look(page, 'demo letter');
    for (const view of ['Text', 'Headers', 'Raw']) {
      await page.getByRole('tab', { name: view }).click();
      await eyes.look(page, `demo letter ${view}`);
    }
    await page.getByRole('tab', { name: 'Letter' }).click();
    const letter = page.frameLocator('#frame').getByRole('link', { name: /Reconnect/ });
    const [repair] = await Promise.all([device.waitForEvent('page'), letter.click()]);
    await repair.waitForLoadState();
    await repair.getByRole('button', { name: /Reconnect/ }).click();
    await press(repair.frameLocator('iframe').getByRole('button', { name: 'Log in', exact: true }));
    await repair.getByRole('heading', { level: 1, name: /works again/ }).waitFor();
    await page.getByRole('link', { name: /works again/ }).waitFor();
    await device.close();
  });
}
