// The demo's Link page: inside a frame for the SDK, or in the whole window for Hosted Link.
// Opening it begins a session; nothing changes at the bank before a button is pressed.
(() => {
  'use strict';

  const $ = (id) => document.getElementById(id);
  const [, , kind, key] = window.location.pathname.split('/');
  const hosted = kind === 'hosted';
  const query = new URLSearchParams(window.location.search);
  const parentOrigin = query.get('origin');
  const framed = window.parent !== window;
  let session = null;
  let lastError = null;
  let busy = false;

  // The browser hands a message only to a parent of the origin that was named, so another page learns nothing.
  function tell(message) {
    if (framed && parentOrigin) window.parent.postMessage(message, parentOrigin);
  }

  function show(id) {
    for (const view of document.querySelectorAll('.view')) view.hidden = view.id !== id;
    const heading = $(id).querySelector('h1');
    if (!heading) return;
    document.querySelector('.card').setAttribute('aria-labelledby', heading.id);
    heading.focus();
  }

  async function post(path, body) {
    const response = await fetch(path, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw answer;
    return answer;
  }

  const step = (more) => ({ link_token: session.link_token, link_session_id: session.link_session_id, ...more });

  function metadata(status) {
    const institution = session && { name: session.bank, institution_id: session.institution_id };
    return {
      institution, status, link_session_id: session ? session.link_session_id : null,
      request_id: lastError ? lastError.request_id : null,
    };
  }

  function event(name) {
    const institution = session ? { institution_id: session.institution_id, institution_name: session.bank } : {};
    const error = lastError ? { error_type: lastError.error_type, error_code: lastError.error_code } : {};
    const id = session ? session.link_session_id : null;
    const about = { ...institution, ...error, link_session_id: id, is_update_mode: true };
    tell({ type: 'event', name, metadata: { ...about, timestamp: new Date().toISOString() } });
  }

  function over(title, text, button) {
    $('over-title').textContent = title;
    $('over-text').textContent = text;
    $('over-close').hidden = !button;
    $('over-close').textContent = button || '';
    $('close').hidden = !button;
    show('over');
  }

  function broken(error) {
    const silence = { error_type: 'API_ERROR', error_code: 'INTERNAL_SERVER_ERROR', error_message: 'no answer' };
    lastError = error && error.error_code ? error : { ...silence, display_message: null };
    event('ERROR');
    if (lastError.error_code === 'INVALID_LINK_TOKEN') {
      session = null;
      const text = 'It was used already, or it is older than 30 minutes. Go back and start once more.';
      over('This link does not work any more', text, hosted ? '' : 'Close');
    } else {
      const text = lastError.display_message || 'The bank gave no answer. Please try again later.';
      over('This did not work', text, session || !hosted ? 'Close' : '');
    }
  }

  // After these the person tries again on the spot; all others end Link.
  const RETRIED = ['INVALID_CREDENTIALS', 'INVALID_MFA', 'INVALID_OTP', 'INVALID_PHONE_NUMBER', 'INVALID_SEND_METHOD'];

  function showError(error) {
    lastError = error;
    event('ERROR');
    if (RETRIED.includes(error.error_code)) {
      $('alert').textContent = error.display_message || error.error_message;
      $('alert').hidden = false;
    } else {
      over('This did not work', error.display_message || error.error_message, 'Close');
    }
  }

  const fail = async (error_code) => showError(await post('/link/api/fail', step({ error_code })));

  function leave_to(redirect, title, text) {
    if (redirect) window.location.replace(redirect);
    else over(title, text, '');
  }

  async function once(work) {
    if (busy) return;
    busy = true;
    document.querySelector('main').setAttribute('aria-busy', 'true');
    try {
      await work();
    } catch (error) {
      broken(error);
    } finally {
      busy = false;
      document.querySelector('main').removeAttribute('aria-busy');
    }
  }

  async function succeed(accounts) {
    event('SUBMIT_CREDENTIALS');
    const done = await post('/link/api/finish', step({ outcome: { kind: 'success', accounts } }));
    if (hosted) leave_to(done.redirect, 'Connected', 'Your bank is connected again. You can close this page.');
    else tell({ type: 'success', publicToken: done.public_token, metadata: done.metadata });
  }

  async function leave() {
    let result = { error: lastError, metadata: metadata('requires_credentials'), redirect: null };
    if (session) {
      const error_code = lastError ? lastError.error_code : null;
      result = await post('/link/api/finish', step({ outcome: { kind: 'exit', error_code } })).catch(() => result);
    }
    if (hosted) leave_to(result.redirect, 'Nothing was changed', 'You can close this page.');
    else tell({ type: 'exit', error: result.error, metadata: result.metadata });
  }

  function row(account) {
    const label = document.createElement('label');
    label.className = 'row';
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.name = 'account';
    box.value = account.id;
    box.checked = true;
    const text = document.createElement('div');
    text.textContent = account.name;
    const more = document.createElement('span');
    more.textContent = `${account.subtype} ending in ${account.mask}`;
    text.append(more);
    label.append(box, text);
    if (!account.shared) {
      const mark = document.createElement('em');
      mark.textContent = 'not shared yet';
      label.append(mark);
    }
    return label;
  }

  // The session is there: now it can be left, too.
  function fill() {
    $('close').hidden = false;
    document.title = `${session.bank} (demo)`;
    const initials = session.bank.split(/\s+/).filter((word) => /^\p{Lu}/u.test(word)).map((word) => word[0]);
    $('badge').textContent = initials.slice(0, 2).join('') || '?';
    $('title').textContent = `Log in to ${session.bank}`;
    $('own-login').hidden = $('wrong').hidden = session.oauth;
    if (session.oauth) $('log-in').textContent = `Continue to ${session.bank}`;
    $('asks').textContent = `${session.client_name} asks you to log in again, so that your accounts stay connected.`;
    $('choose-legend').textContent = `${session.client_name} sees the accounts that are ticked, and no others.`;
    $('rows').replaceChildren(...session.accounts.map(row));
  }

  const door = hosted ? { hosted: key } : { link_token: decodeURIComponent(key) };

  async function loggedIn() {
    if (session.choose_accounts) {
      event('TRANSITION_VIEW');
      show('choose');
    } else {
      await succeed(null);
    }
  }

  // Back from the bank's own page: the same session goes on.
  async function comeBack(state) {
    session = await post('/link/api/start', { door, oauth_state_id: state });
    fill();
    if (session.returned) await loggedIn();
    else await fail('INSUFFICIENT_CREDENTIALS');
  }

  // To the bank's own page: in a window of its own where there are windows, in this one where there are none.
  async function leaveForBank() {
    const { url, oauth_state_id } = await post('/link/api/bank/leave', step({}));
    const windows = !hosted && !window.matchMedia('(pointer: coarse)').matches;
    const bank = windows && window.open(url, 'bank', 'popup,width=480,height=720');
    if (!bank) {
      // Of a window of another origin only the address may be set.
      if (session.redirects) window.top.location.href = url;
      else over('The bank cannot be opened', 'Allow pop-ups for this page, then try again.', 'Close');
      return;
    }
    over(`Go on at ${session.bank}`, "The bank's page is open in another window.", 'Close');
    const decided = (message) => {
      if (message.source !== bank || message.origin !== window.location.origin) return;
      window.removeEventListener('message', decided);
      once(() => comeBack(oauth_state_id));
    };
    window.addEventListener('message', decided);
  }

  async function start() {
    if (framed) document.body.classList.add('framed');
    if (query.has('oauth_state_id')) return comeBack(query.get('oauth_state_id'));
    session = await post('/link/api/start', { door });
    fill();
    event('OPEN');
    if (session.bank_down) {
      const down = { error_type: 'INSTITUTION_ERROR', error_code: 'INSTITUTION_DOWN' };
      lastError = { ...down, error_message: 'this institution is down', display_message: null };
      event('ERROR');
      over(`${session.bank} is not available`, 'The bank has a fault at the moment. Please try again later.', 'Close');
      return;
    }
    event('TRANSITION_VIEW');
    show('login');
  }

  $('credentials').addEventListener('submit', (submit) => {
    submit.preventDefault();
    const forced = /^error_(\w+)$/.exec($('password').value);
    if (session.oauth) once(leaveForBank);
    else if (forced) once(() => fail(forced[1]));
    else once(loggedIn);
  });
  $('wrong').addEventListener('click', () => once(() => fail('INVALID_CREDENTIALS')));
  $('accounts').addEventListener('submit', (submit) => {
    submit.preventDefault();
    const accounts = new FormData(submit.target).getAll('account');
    $('choose-alert').hidden = accounts.length > 0;
    if (accounts.length > 0) once(() => succeed(accounts));
  });
  $('close').addEventListener('click', () => once(leave));
  $('over-close').addEventListener('click', () => once(leave));
  window.addEventListener('keydown', (press) => {
    if (press.key === 'Escape' && !$('close').hidden) once(leave);
  });
  window.addEventListener('message', (message) => {
    const trusted = framed && message.source === window.parent && message.origin === parentOrigin;
    if (trusted && message.data?.type === 'leave') once(leave);
  });
  start().catch(broken);
})();
