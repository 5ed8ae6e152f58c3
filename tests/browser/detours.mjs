// The ways that do not go straight: errors in Link, the bank's own page and back, dead tokens, banks and servers that are
// down, two tabs, two presses. `letters` has the letter of each person by name.

import { focused, press } from './look.mjs';
import { World } from './world.mjs';

const BANK = 'First Platypus Bank';
const OAUTH_BANK = 'Platypus OAuth Bank';
const PHONE = { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true };

// What Plaid's errors lead to: what the page says, and whether it then leads to the application.
const ERRORS = {
  ITEM_LOCKED: ['The bank has locked this login.', false],
  PASSWORD_RESET_REQUIRED: ['The bank wants a new password first.', false],
  USER_SETUP_REQUIRED: ['The bank wants you to confirm something first', false],
  USER_INPUT_TIMEOUT: ['You left before it was finished.', false],
  NO_ACCOUNTS: ['No account was shared that Demo Budget can use.', false],
  INSTANT_MATCH_FAILED: ['That did not work. Please try again.', false],
  INVALID_UPDATED_USERNAME: ['This was another login than before.', true],
  INSTITUTION_NO_LONGER_SUPPORTED: ['This connection cannot be repaired here.', true],
  UNSUPPORTED_RESPONSE: ['Something is not set up right on our side.', false],
  INSTITUTION_NOT_RESPONDING: [`At the moment ${BANK} cannot be reached.`, false],
  INTERNAL_SERVER_ERROR: ['does not answer', false],
  RATE_LIMIT: ['Please wait until tomorrow', false],
};
const SHOWN = ['ITEM_LOCKED', 'INVALID_UPDATED_USERNAME'];

const button = (page, name) => page.getByRole('button', { name, exact: true });
const status = (page, text) => page.getByRole('status').filter({ hasText: text });
const link = (page) => page.frameLocator('iframe');

export async function detours(eyes, given) {
  const world = new World(given);

  async function open(name, { context, bank = BANK, ...more } = {}) {
    const device = context ?? await eyes.device(more);
    const page = await device.newPage();
    await page.goto(given.letters[name].url);
    await eyes.heading(page, `Reconnect ${bank}`);
    return page;
  }

  async function logIn(page) {
    await press(button(link(page), 'Log in'));
  }

  await eyes.walk('the bank is down', async () => {
    const page = await open('down', { bank: 'Bank of the Valley' });
    await world.act('down', { act: 'bank_down' });
    await button(page, 'Reconnect Bank of the Valley').click();
    // Plaid's word about the bank counts for some minutes, so relinkd has not heard yet; Link has.
    await link(page).getByRole('heading', { name: 'Bank of the Valley is not available' }).waitFor();
    await press(link(page).locator('#over-close'));
    await status(page, 'At the moment Bank of the Valley cannot be reached.').waitFor();
    await world.act('down', { act: 'bank_up' });
    await button(page, 'Reconnect Bank of the Valley').click();
    await logIn(page);
    await eyes.heading(page, 'Done: Bank of the Valley works again');
    await page.context().close();
  });

  await eyes.walk('each error of Link', async () => {
    const page = await open('errors');
    for (const [code, [says, toApp]] of Object.entries(ERRORS)) {
      await button(page, `Reconnect ${BANK}`).click();
      await link(page).getByLabel('Password').fill(`error_${code}`);
      await logIn(page);
      await link(page).getByRole('heading', { name: 'This did not work' }).waitFor();
      await press(link(page).locator('#over-close'));
      await status(page, says).waitFor();
      eyes.check(await page.getByRole('link', { name: 'Open Demo Budget' }).isVisible() === toApp, `${code}: the way to the application`);
      eyes.check(await focused(page) === `Reconnect ${BANK}`, `${code}: the focus is not back on the button`);
      if (SHOWN.includes(code)) await eyes.look(page, `repair ${code}`);
    }
    await button(page, `Reconnect ${BANK}`).click();
    await link(page).getByLabel('Password').fill('error_ITEM_CONCURRENTLY_DELETED');
    await logIn(page);
    await press(link(page).locator('#over-close'));
    await eyes.heading(page, `Reconnect ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('two presses at once, and two tabs', async () => {
    const page = await open('twice', { expected: [/status of 409/] });
    const other = await open('twice', { context: page.context() });
    const before = await world.tokensMinted();
    await button(page, `Reconnect ${BANK}`).dblclick();
    await link(page).getByRole('heading', { name: `Log in to ${BANK}` }).waitFor();
    eyes.check(await world.tokensMinted() === before + 1, 'two presses are not one Link token');
    await logIn(page);
    await eyes.heading(page, `Done: ${BANK} works again`);
    await button(other, `Reconnect ${BANK}`).click();
    await eyes.heading(other, `Done: ${BANK} works again`);
    await page.context().close();
  });

  await eyes.walk("the bank's page in a window of its own", async () => {
    const page = await open('window', { bank: OAUTH_BANK });
    await button(page, `Reconnect ${OAUTH_BANK}`).click();
    for (const answer of ['Do not allow', 'Allow']) {
      const [bank] = await Promise.all([
        page.waitForEvent('popup'),
        button(link(page), `Continue to ${OAUTH_BANK}`).click(),
      ]);
      await bank.getByRole('heading', { name: OAUTH_BANK, exact: true }).waitFor();
      if (answer === 'Allow') await eyes.look(bank, 'bank');
      await button(bank, answer).click();
      if (answer === 'Allow') break;
      await link(page).getByRole('heading', { name: 'This did not work' }).waitFor();
      await press(link(page).locator('#over-close'));
      await status(page, 'You left before it was finished.').waitFor();
      await button(page, `Reconnect ${OAUTH_BANK}`).click();
    }
    await press(button(link(page), 'Continue'));
    await eyes.heading(page, `Done: ${OAUTH_BANK} works again`);
    await page.context().close();
  });

  await eyes.walk("the bank's page in the same window, and back", async () => {
    const page = await open('redirect', { bank: OAUTH_BANK, ...PHONE });
    await button(page, `Reconnect ${OAUTH_BANK}`).click();
    await press(button(link(page), `Continue to ${OAUTH_BANK}`));
    await page.getByRole('heading', { name: OAUTH_BANK, exact: true }).waitFor();
    // Back with the browser's own button, and once more.
    await page.goBack();
    await eyes.heading(page, `Reconnect ${OAUTH_BANK}`);
    await button(page, `Reconnect ${OAUTH_BANK}`).click();
    await press(button(link(page), `Continue to ${OAUTH_BANK}`));
    await page.getByRole('heading', { name: OAUTH_BANK, exact: true }).waitFor();
    const minted = await world.tokensMinted();
    await button(page, 'Allow').click();
    await link(page).getByRole('heading', { name: 'Choose accounts to share' }).waitFor();
    eyes.check(!page.url().includes('oauth_state_id'), 'the state is still in the address');
    eyes.check(await world.tokensMinted() === minted, 'the way back took another Link token');
    await eyes.look(page, 'way back, link');
    await press(button(link(page), 'Continue'));
    await eyes.heading(page, `All is well with ${OAUTH_BANK}`);
    const kept = await page.evaluate(() => Object.values(localStorage).join());
    eyes.check(!kept.includes('link-sandbox'), 'the Link token is still kept');
    await page.context().close();
  });

  await eyes.walk('back from the bank in another browser', async () => {
    const page = await open('elsewhere', { bank: OAUTH_BANK, ...PHONE });
    await button(page, `Reconnect ${OAUTH_BANK}`).click();
    await press(button(link(page), `Continue to ${OAUTH_BANK}`));
    await page.getByRole('heading', { name: OAUTH_BANK, exact: true }).waitFor();
    await page.context().clearCookies();
    await page.route('**/repair-return*', (route) => route.fulfill({ body: 'held' }));
    await button(page, 'Allow').click();
    await page.waitForURL(/oauth_state_id/);
    const other = await eyes.device();
    const lost = await other.newPage();
    await lost.goto(page.url());
    await eyes.heading(lost, 'You are back');
    await lost.getByRole('link', { name: 'Open Demo Budget' }).waitFor();
    await lost.goto(given.letters.elsewhere.url);
    await eyes.heading(lost, `Reconnect ${OAUTH_BANK}`);
    await other.close();
    await page.context().close();
  });

  await eyes.walk('no script, and nothing to open', async () => {
    const page = await open('refused', { expected: [/status of (409|503)/] });
    const answers = [
      ['RATE_LIMIT_EXCEEDED', 'RATE_LIMIT', 'This is not possible right now', 'plaid'],
      ['INSTITUTION_ERROR', 'INSTITUTION_DOWN', 'This is not possible right now', 'bank'],
      ['INVALID_REQUEST', 'INVALID_FIELD', 'This is not possible right now', 'ours'],
      ['ITEM_ERROR', 'PRODUCTS_NOT_SUPPORTED', 'Link this bank again', 'anew'],
    ];
    for (const [error_type, error_code, heading, name] of answers) {
      await world.fault({ path: '/link/token/create', answer: { kind: 'error', status: 400, error_type, error_code } });
      try {
        await page.goto(given.letters.refused.url);
        // As a browser without scripts does it.
        await page.locator('form button').evaluate((pressed) => {
          const said = Object.assign(document.createElement('input'), { type: 'hidden', name: pressed.name, value: pressed.value });
          pressed.form.append(said);
          pressed.form.submit();
        });
        await eyes.heading(page, heading);
        await eyes.look(page, `refused ${name}`);
      } finally {
        await world.clearFaults();
      }
    }
    await page.context().close();
  });

  // The last: time passes for everybody.
  await eyes.walk('a Link token that dies while the person is away', async () => {
    const page = await open('late', { expected: [/status of 400/] });
    await button(page, `Reconnect ${BANK}`).click();
    await link(page).getByRole('heading', { name: `Log in to ${BANK}` }).waitFor();
    await world.skip('31m');
    await logIn(page);
    await link(page).getByRole('heading', { name: 'This link does not work any more' }).waitFor();
    await press(link(page).locator('#over-close'));
    // The page asks for a new token by itself.
    await logIn(page);
    await eyes.heading(page, `Done: ${BANK} works again`);
    await page.context().close();
  });
}
