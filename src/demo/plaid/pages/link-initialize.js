// The surface of Plaid's Link script, for the demo: window.Plaid.create({...}) gives open, exit and destroy.
// It opens the demo's Link page in a frame over the whole window. All styles are set through the CSSOM, which a strict
// style-src of the page around it allows; the page inside has its own document and its own policy.
(() => {
  'use strict';

  const home = new URL(document.currentScript.src).origin;
  const nothing = () => {};

  function overlay(token, oauthState) {
    const frame = document.createElement('iframe');
    const query = new URLSearchParams({ origin: window.location.origin });
    if (oauthState) query.set('oauth_state_id', oauthState);
    frame.src = `${home}/link/session/${encodeURIComponent(token)}?${query}`;
    frame.title = 'Log in to your bank';
    frame.id = 'plaid-link-iframe-1';
    const looks = {
      position: 'fixed', inset: '0', width: '100%', height: '100%', border: '0', margin: '0',
      'z-index': '2147483647', background: 'transparent', 'color-scheme': 'light dark',
    };
    for (const [name, value] of Object.entries(looks)) frame.style.setProperty(name, value);
    return frame;
  }

  // Where the bank led back to: its address carries the state and nothing else.
  function stateIn(address) {
    const { searchParams, hash } = new URL(address);
    const state = searchParams.get('oauth_state_id');
    if (!state || hash || [...searchParams].length > 1) {
      throw new Error('receivedRedirectUri has to be the whole address, with oauth_state_id and nothing else.');
    }
    return state;
  }

  function create(options) {
    const { receivedRedirectUri } = options ?? {};
    const oauthState = receivedRedirectUri && stateIn(receivedRedirectUri);
    const { token, onSuccess = nothing, onExit = nothing, onEvent = nothing, onLoad = nothing } = options ?? {};
    if (typeof token !== 'string' || token === '') {
      throw new Error('Missing Link parameter. Link requires a "token" to be created.');
    }
    let frame = null;
    let returnTo = null;
    let behind = [];
    let destroyed = false;

    function close() {
      window.removeEventListener('message', receive);
      if (frame) frame.remove();
      frame = null;
      for (const element of behind) element.inert = false;
      behind = [];
      if (returnTo && returnTo.isConnected) returnTo.focus();
    }

    function receive(message) {
      // Only our own frame, and only as long as it shows our own page.
      if (!frame || message.source !== frame.contentWindow || message.origin !== home) return;
      const { type, name, publicToken, error, metadata } = message.data ?? {};
      if (type === 'event') {
        onEvent(name, metadata);
      } else if (type === 'success') {
        close();
        onEvent('HANDOFF', metadata);
        onSuccess(publicToken, metadata);
      } else if (type === 'exit') {
        close();
        onEvent('EXIT', metadata);
        onExit(error, metadata);
      }
    }

    function open() {
      if (frame || destroyed) return;
      returnTo = document.activeElement;
      behind = [...document.body.children].filter((element) => !element.inert);
      for (const element of behind) element.inert = true;
      frame = overlay(token, oauthState);
      window.addEventListener('message', receive);
      document.body.append(frame);
      frame.focus();
    }

    function exit({ force = false } = {}) {
      if (!frame) return;
      if (force) {
        close();
        onExit(null, { institution: null, status: null, link_session_id: null, request_id: null });
      } else {
        frame.contentWindow.postMessage({ type: 'leave' }, home);
      }
    }

    function destroy() {
      destroyed = true;
      close();
    }

    setTimeout(() => { if (!destroyed) onLoad(); }, 0);
    return { open, exit, destroy };
  }

  window.Plaid = { create };
})();
