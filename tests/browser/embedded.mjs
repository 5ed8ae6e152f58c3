// The walk with Link inside the page. `letters` has the letter of each person of the story by name: { html, text, stop_url },
// and `plaid`, `api` and `key` are where to break things and where to ask how they are.

import { focused, press, tabTo } from './look.mjs';
import { mailProgram } from './letters.mjs';
import { World } from './world.mjs';

const BANK = 'First Platypus Bank';
const RECONNECT = `Reconnect ${BANK}`;
const MAIL_APP = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148';

const button = (page, name = RECONNECT) => page.getByRole('button', { name, exact: true });
const status = (page) => page.getByRole('status');
const bank = (page) => page.frameLocator('iframe');

async function logIn(page) {
  await press(bank(page).getByRole('button', { name: 'Log in', exact: true }));
}

export async function embedded(eyes, given) {
  const world = new World(given);
  const names = Object.keys(given.letters);
  const mail = await mailProgram(names.map((name) => given.letters[name]));
  const letterOf = (name) => mail.url(names.indexOf(name));
  const noIcon = [/favicon/, /404 \(Not Found\)/];

  /// Opens a letter and follows its button.
  async function follow(name, { expected = [], ...more } = {}) {
    const device = await eyes.device({ expected: [...noIcon, ...expected], ...more });
    const page = await device.newPage();
    await page.goto(letterOf(name));
    await page.locator('.button a').click();
    await page.waitForURL(/\/repair\//);
    await page.waitForLoadState();
    return page;
  }

  await eyes.walk('opening the page asks Plaid for nothing', async () => {
    const before = await world.tokensMinted();
    const page = await follow('main');
    await eyes.heading(page, RECONNECT);
    await eyes.look(page, 'repair before');
    await page.reload();
    await page.context().close();
    eyes.check(await world.tokensMinted() === before, 'a page that was only opened minted a Link token');
    eyes.check(await world.state('main') === 'login_required', 'a page that was only opened changed the state');
  });

  await eyes.walk('no script', async () => {
    const page = await follow('script', { script: false });
    await eyes.look(page, 'repair no script', { script: false });
    await button(page).click();
    await page.waitForURL(/\/link\/hosted\//);
    await page.goto(await world.hostedLogIn(page.url()));
    await eyes.heading(page, 'You are back');
    // Plaid tells relinkd by webhook that the session is over.
    await world.until('script', 'healthy');
    await page.goto(given.letters.script.url);
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('inside a mail app', async () => {
    const page = await follow('app', { userAgent: MAIL_APP });
    await button(page).click();
    await page.waitForURL(/\/link\/hosted\//);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('letter, link, press, Link, healthy', async () => {
    const page = await follow('main');
    await button(page).click();
    await bank(page).getByRole('heading', { name: `Log in to ${BANK}` }).waitFor();
    eyes.check(!page.url().includes('/repair/'), 'Link runs beside the token in the address');
    await eyes.look(page, 'link');
    await logIn(page);
    await eyes.heading(page, `Done: ${BANK} works again`);
    eyes.check(await focused(page) === `Done: ${BANK} works again`, 'the focus is not on the good news');
    eyes.check(await page.getByRole('button').count() === 0, 'there is still a button');
    await eyes.look(page, 'repair after');
    eyes.check(await world.state('main') === 'healthy', 'the page says that it works, and the API does not');

    await page.reload();
    await eyes.heading(page, `All is well with ${BANK}`);
    await eyes.look(page, 'repair works');
    await page.goto(letterOf('main'));
    await page.locator('.button a').click();
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('back and forward', async () => {
    const page = await follow('back');
    await button(page).click();
    await bank(page).getByRole('heading', { name: `Log in to ${BANK}` }).waitFor();
    await page.goBack();
    await page.waitForURL(letterOf('back'));
    await page.goForward();
    await eyes.heading(page, RECONNECT);
    await button(page).click();
    await logIn(page);
    await eyes.heading(page, `Done: ${BANK} works again`);
    await page.goBack();
    await page.waitForURL(letterOf('back'));
    await page.goForward();
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('a reload while Link is open', async () => {
    const page = await follow('reload');
    await button(page).click();
    await bank(page).getByRole('heading', { name: `Log in to ${BANK}` }).waitFor();
    await page.reload();
    await eyes.heading(page, RECONNECT);
    await button(page).click();
    await logIn(page);
    await eyes.heading(page, `Done: ${BANK} works again`);
    await page.context().close();
  });

  await eyes.walk('a second device', async () => {
    const page = await follow('main');
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('left, then done', async () => {
    const page = await follow('left');
    await button(page).click();
    await bank(page).getByRole('heading', { name: `Log in to ${BANK}` }).waitFor();
    await press(bank(page).getByRole('button', { name: 'Close' }));
    await status(page).filter({ hasText: 'You left before it was finished.' }).waitFor();
    eyes.check(await focused(page) === RECONNECT, 'the focus is not back on the button');
    eyes.check(await world.state('left') === 'login_required', 'leaving closed something');
    await eyes.look(page, 'repair left');
    await button(page).click();
    await logIn(page);
    await eyes.heading(page, `Done: ${BANK} works again`);
    await page.context().close();
  });

  await eyes.walk('wrong password', async () => {
    const page = await follow('wrong');
    await button(page).click();
    await bank(page).getByRole('button', { name: 'Wrong password' }).click();
    await bank(page).getByRole('alert').waitFor();
    await press(bank(page).getByRole('button', { name: 'Close' }));
    await status(page).filter({ hasText: 'The login was not accepted.' }).waitFor();
    await eyes.look(page, 'repair wrong password');
    await button(page).click();
    await logIn(page);
    await eyes.heading(page, `Done: ${BANK} works again`);
    await page.context().close();
  });

  await eyes.walk('so many wrong passwords that the Link token dies', async () => {
    const page = await follow('dead', { expected: [/status of 400/] });
    await button(page).click();
    for (let count = 0; count < 5; count += 1) {
      await bank(page).locator('main:not([aria-busy])').waitFor();
      await bank(page).getByRole('button', { name: 'Wrong password' }).click();
    }
    await bank(page).locator('main:not([aria-busy])').waitFor();
    await press(bank(page).getByRole('button', { name: 'Log in', exact: true }));
    await bank(page).getByRole('heading', { name: 'This link does not work any more' }).waitFor();
    await press(bank(page).locator('#over-close'));
    // The page asks for a new token by itself.
    await logIn(page);
    await eyes.heading(page, `Done: ${BANK} works again`);
    await page.context().close();
  });

  await eyes.walk('with the keyboard alone', async () => {
    const device = await eyes.device({ expected: noIcon });
    const page = await device.newPage();
    await page.goto(letterOf('keyboard'));
    await tabTo(page, page, RECONNECT);
    await page.keyboard.press('Enter');
    // The letter has the same heading.
    await page.waitForURL(/\/repair\//);
    await eyes.heading(page, RECONNECT);
    await tabTo(page, page, RECONNECT);
    await page.keyboard.press('Enter');
    await bank(page).getByRole('heading', { name: `Log in to ${BANK}` }).waitFor();
    await page.keyboard.press('Escape');
    await status(page).filter({ hasText: 'You left before it was finished.' }).waitFor();
    await page.keyboard.press('Enter');
    await bank(page).getByRole('heading', { name: `Log in to ${BANK}` }).waitFor();
    await tabTo(page, page.frames()[1], 'Log in');
    await page.keyboard.press('Enter');
    await eyes.heading(page, `Done: ${BANK} works again`);
    await tabTo(page, page, 'Open Demo Budget');
    await device.close();
  });

  await eyes.walk('repaired elsewhere while the page was open', async () => {
    const page = await follow('elsewhere', { expected: [/status of 409/] });
    await eyes.heading(page, RECONNECT);
    await world.act('elsewhere', { act: 'repair_elsewhere', webhook: 'lose' });
    await button(page).click();
    await eyes.heading(page, `Done: ${BANK} works again`);
    await page.context().close();
  });

  await eyes.walk('no way to Plaid, to the server, to Link', async () => {
    const page = await follow('trouble', { expected: [/status of 503/, /ERR_INTERNET_DISCONNECTED/, /ERR_FAILED/] });
    await world.fault({ path: '/link/token/create', answer: { kind: 'raw', status: 502, body: '<h1>Bad gateway</h1>' } });
    try {
      await button(page).click();
      await status(page).filter({ hasText: 'does not answer' }).waitFor();
      await eyes.look(page, 'repair plaid down');
    } finally {
      await world.clearFaults();
    }

    await page.context().setOffline(true);
    await button(page).click();
    await status(page).filter({ hasText: 'The internet cannot be reached.' }).waitFor();
    await page.context().setOffline(false);

    await page.route('**/link-initialize.js', (route) => route.abort());
    await button(page).click();
    await status(page).filter({ hasText: 'Plaid could not be loaded.' }).waitFor();
    eyes.check(page.url().includes('/repair/'), 'the address was not put back');
    await eyes.look(page, 'repair blocked');
    await button(page, "Go on at Plaid's own page").click();
    await eyes.heading(page, `Log in to ${BANK}`);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('several banks, one page', async () => {
    const page = await follow('many');
    await eyes.heading(page, 'Your bank connections');
    await eyes.look(page, 'repair many');
    for (const [place, name] of ['Bank of the North', BANK, 'Riverside Credit Union'].entries()) {
      await button(page, `Reconnect ${name}`).click();
      await logIn(page);
      if (place === 2) break;
      await status(page).filter({ hasText: `Done: ${name} works again.` }).waitFor();
      if (place === 0) await eyes.look(page, 'repair many, one done');
    }
    await eyes.heading(page, 'Done: all your connections work');
    await eyes.look(page, 'repair many, all done');
    await page.reload();
    await eyes.heading(page, 'All your connections work');
    await eyes.look(page, 'repair many work');
    await page.context().close();
  });

  await eyes.walk('a consent that ends', async () => {
    const page = await follow('consent');
    await eyes.heading(page, `Renew the connection to ${BANK}`);
    await eyes.look(page, 'repair consent');
    await button(page, `Renew ${BANK}`).click();
    await logIn(page);
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('new accounts', async () => {
    const page = await follow('accounts');
    await eyes.heading(page, `New accounts at ${BANK}`);
    await eyes.look(page, 'repair accounts');
    await button(page, `Choose accounts at ${BANK}`).click();
    await logIn(page);
    await bank(page).getByRole('heading', { name: 'Choose accounts to share' }).waitFor();
    await eyes.look(page, 'link accounts');
    await press(bank(page).getByRole('button', { name: 'Continue' }));
    await eyes.heading(page, `All is well with ${BANK}`);
    await page.context().close();
  });

  await eyes.walk('a connection that was removed', async () => {
    const page = await follow('removed', { expected: [/status of 410/] });
    await eyes.heading(page, RECONNECT);
    await world.forget('removed');
    await button(page).click();
    await page.getByText('there is nothing to repair').or(page.getByText('This link no longer works')).waitFor();
    await eyes.look(page, 'repair removed');
    await page.context().close();
  });

  await eyes.walk('choosing the letters', async () => {
    const device = await eyes.device({ expected: noIcon });
    const page = await device.newPage();
    await page.goto(letterOf('stopper'));
    await page.getByRole('link', { name: 'Turn off these emails' }).click();
    await eyes.heading(page, 'Your emails from Demo Budget');
    await eyes.look(page, 'preferences');
    await Promise.all([page.waitForEvent('load'), button(page, 'Save').click()]);
    eyes.check((await world.user('stopper')).stopped_at === null, 'a press without a choice stopped the letters');

    const choose = async (group, answer) => {
      await page.getByRole('group', { name: group, exact: true }).getByLabel(answer).check();
      await Promise.all([page.waitForEvent('load'), button(page, 'Save').click()]);
      await status(page).filter({ hasText: 'Saved.' }).waitFor();
    };
    await choose(BANK, 'No emails about this bank');
    await eyes.look(page, 'preferences, one bank off');
    eyes.check((await world.item('stopper')).snoozed_until !== null, 'the bank is not off');
    await button(page, 'Undo').click();
    await page.getByRole('group', { name: BANK, exact: true }).locator('input:checked + span', { hasText: /^Emails about/ }).waitFor();
    eyes.check((await world.item('stopper')).snoozed_until === null, 'the bank is not on again');

    await choose('All banks', /^A pause of two weeks: emails again from /);
    await eyes.look(page, 'preferences, pause');
    await choose('All banks', 'No emails about bank connections');
    await eyes.look(page, 'preferences, all off');
    eyes.check((await world.user('stopper')).stopped_at !== null, 'the letters are not off');
    // Neither the way back nor a reload says anything again.
    await page.reload();
    await page.goBack();
    await page.getByText('No emails about bank connections (turned off on').waitFor();
    eyes.check((await world.user('stopper')).stopped_at !== null, 'the way back changed something');
    await device.close();
  });

  await eyes.walk('choosing the letters without script and without a mouse', async () => {
    const device = await eyes.device({ expected: noIcon, script: false });
    const page = await device.newPage();
    await page.goto(given.letters.left.stop_url);
    await eyes.heading(page, 'Your emails from Demo Budget');
    // The choice that is made already, then the last of its answers.
    for (let count = 0; count < 3; count += 1) {
      await page.keyboard.press('Tab');
      if (await page.locator('input:focus').count() > 0) break;
    }
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    await status(page).filter({ hasText: 'Saved.' }).waitFor();
    eyes.check((await world.user('left')).stopped_at !== null, 'the keyboard stopped nothing');
    await device.close();
  });

  await eyes.walk('one click, and back', async () => {
    const device = await eyes.device({ expected: noIcon });
    const page = await device.newPage();
    // What a mail program sends, from a page that shows the answer.
    await page.goto(given.letters.stopper.stop_url);
    await page.evaluate(() => {
      document.body.insertAdjacentHTML('beforeend', `<form id="click" method="post" action="${location.pathname}"></form>`);
      document.getElementById('click').submit();
    });
    await eyes.heading(page, 'The reminders are off');
    await eyes.look(page, 'unsubscribe done');
    await page.getByRole('link', { name: 'Choose what to get instead' }).click();
    await eyes.heading(page, 'Your emails from Demo Budget');
    await device.close();
  });

  await eyes.walk('links that lead nowhere', async () => {
    const device = await eyes.device({ expected: [/status of 4(04|10)/] });
    const page = await device.newPage();
    for (const [name, path] of [['repair', 'repair/abc.def'], ['unsubscribe', 'unsubscribe/abc.def'], ['page', 'abc']]) {
      await page.goto(`${given.public}/${path}`);
      await eyes.look(page, `no such ${name}`);
    }
    await page.goto(`${given.public}/repair-return`);
    await eyes.heading(page, 'You are back');
    await eyes.look(page, 'way back, lost');
    await device.close();
  });
  mail.stop();
}
