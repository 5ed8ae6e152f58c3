// The demo's bank: asks whether the application may see the accounts, and leads back to Link.
(() => {
  'use strict';

  const $ = (id) => document.getElementById(id);
  const state = window.location.pathname.split('/').at(-1);

  async function post(path, body) {
    const response = await fetch(path, {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ oauth_state_id: state, ...body }),
    });
    const answer = await response.json();
    if (!response.ok) throw answer;
    return answer;
  }

  function broken() {
    $('actions').hidden = true;
    $('title').textContent = 'This page does not work any more';
    $('asks').textContent = 'Close it, and start once more where you came from.';
  }

  async function decide(allow) {
    const { redirect } = await post('/link/api/bank/decide', { allow });
    if (window.opener) {
      window.opener.postMessage({ type: 'decided', state }, window.location.origin);
      window.close();
    } else if (redirect) {
      window.location.replace(redirect);
    } else {
      broken();
    }
  }

  $('allow').addEventListener('click', () => decide(true).catch(broken));
  $('deny').addEventListener('click', () => decide(false).catch(broken));
  post('/link/api/bank/view', {}).then(({ bank, client_name }) => {
    document.title = `${bank} (demo)`;
    $('title').textContent = bank;
    $('asks').textContent = `${client_name} asks to see your accounts. You can take the permission back at any time.`;
    $('actions').hidden = false;
    $('title').focus();
  }).catch(broken);
})();
