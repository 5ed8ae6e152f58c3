// The walk with Hosted Link, Plaid's own page: with script, and without any.

import { World } from './world.mjs';

const BANK = 'First Platypus Bank';
const RECONNECT = `Reconnect ${BANK}`;

const button = (page, name = RECONNECT) => page.getByRole('button', { name, exact: true });

export async function hosted(eyes, given) {
  const world = new World(given);

  async function open(name, more = {}) {
    const device = await eyes.device(more);
    const page = await device.newPage();
    await page.goto(given.letters[name].url);
    await eyes.heading(page, RECONNECT);
    return page;
  }

  await eyes.walk('hosted: done', async () => {
    const page = await open('main');
    await eyes.look(page, 'hosted before');
    await button(page).click();
    await eyes.heading(page, `Log in to ${BANK}`);
    await eyes.look(page, 'hosted link');
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await eyes.heading(page, `All is well with ${BANK}`);
    eyes.check(await world.state('main') === 'healthy', 'the page says that it works, and the API does not');
    await page.context().close();
  });

  await eyes.walk('hosted: left, then done', async () => {
    const page = await open('left');
    await button(page).click();
    await eyes.heading(page, `Log in to ${BANK}`);
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('status').filter({ hasText: 'It did not work yet. Please try once more.' }).waitFor();
    await eyes.look(page, 'hosted left');
    eyes.check(await world.state('left') === 'login_required', 'leaving closed something');
    await page.getByRole('link', { name: 'Back to your banks' }).click();
    await eyes.heading(page, RECONNECT);
    await button(page).click();
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('hosted: back with the browser, then done', async () => {
    const page = await open('back');
    await button(page).click();
    await eyes.heading(page, `Log in to ${BANK}`);
    await page.goBack();
    await eyes.heading(page, RECONNECT);
    await button(page).click();
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('hosted: so many wrong passwords that the Link token dies', async () => {
    const page = await open('dead', { expected: [/status of 400/] });
    await button(page).click();
    for (let count = 0; count < 5; count += 1) {
      await page.locator('main:not([aria-busy])').waitFor();
      await page.getByRole('button', { name: 'Wrong password' }).click();
    }
    await page.locator('main:not([aria-busy])').waitFor();
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await eyes.heading(page, 'This link does not work any more');
    await page.goto(given.letters.dead.url);
    await button(page).click();
    await eyes.heading(page, `Log in to ${BANK}`);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('hosted: too many presses', async () => {
    const page = await open('many', { expected: [/status of 429/] });
    for (let count = 0; count < 6; count += 1) {
      await button(page).click();
      await eyes.heading(page, `Log in to ${BANK}`);
      await page.goBack();
      await eyes.heading(page, RECONNECT);
    }
    await button(page).click();
    await page.getByRole('status').filter({ hasText: 'Please wait an hour' }).waitFor();
    await eyes.look(page, 'hosted too many');
    await page.locator('form').evaluate((form) => form.submit());
    await page.waitForURL(/\/link\/hosted\//);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('hosted: no script', async () => {
    const page = await open('script', { script: false });
    await eyes.look(page, 'hosted no script', { script: false });
    await button(page).click();
    await page.waitForURL(/\/link\/hosted\//);
    await page.goto(await world.hostedLogIn(page.url()));
    await eyes.heading(page, 'You are back');
    await eyes.look(page, 'hosted no script, back', { script: false });
    // Plaid tells relinkd by webhook that the session is over.
    await world.until('script', 'healthy');
    await page.goto(given.letters.script.url);
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('hosted: no script, repaired elsewhere while the page was open', async () => {
    const page = await open('elsewhere', { script: false, expected: [/status of 409/] });
    await world.act('elsewhere', { act: 'repair_elsewhere', webhook: 'lose' });
    await button(page).click();
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });
}
