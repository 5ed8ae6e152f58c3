// The stage page: shows the truth once a second, and presses the buttons. Nodes are kept and only their words change, so
// that focus, opened details and a screen reader's place survive.
(() => {
  'use strict';

  const EVERY_MS = 1000;
  const WEEK_MS = 7 * 24 * 3600 * 1000;
  const $ = (id) => document.getElementById(id);
  const cards = new Map();
  const rows = new Map();
  let now = null;

  const clock = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const day = (at) => new Date(at).toLocaleString([], { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

  function make(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function write(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  // What each button does: its words, the act, and whether it is a cure.
  const acts = [
    ['Break the login', () => ({ act: 'break_login' })],
    ['Consent ends in 7 days', () => ({ act: 'consent_ends', at: new Date(Date.parse(now) + WEEK_MS).toISOString() })],
    ['Bank moves', () => ({ act: 'disconnect' })],
    ['New account', () => ({ act: 'new_account' })],
    ['Lose the accounts', () => ({ act: 'lose_accounts' })],
    ['User withdraws', () => ({ act: 'revoke' })],
    ['Bank down', (item) => ({ act: item.bank_down ? 'bank_up' : 'bank_down' })],
    ['Remove', () => ({ act: 'remove' })],
    ['Repair elsewhere', () => ({ act: 'repair_elsewhere' }), 'cure'],
  ];

  const facts = [['item', 'Item'], ['accounts', 'Accounts'], ['consent', 'Consent'], ['cut', 'Cut off'], ['webhook', 'Webhooks']];

  function answered(webhook) {
    if (webhook.lost) return ['lost on its way', 'wait'];
    const last = webhook.tries.at(-1);
    if (!last) return webhook.url ? ['on its way', 'wait'] : ['no address', ''];
    const often = webhook.tries.length > 1 ? `, ${webhook.tries.length} times` : '';
    if (last.status === null) return [`${last.failure}${often}`, 'bad'];
    return [`answered ${last.status}${often}`, last.status === 200 ? 'good' : 'bad'];
  }

  async function press(item, label, body) {
    const webhook = $('lose').checked ? 'lose' : 'send';
    write($('said'), `${label}: ${item.bank} of ${item.user}…`);
    const response = await fetch(`/demo/items/${encodeURIComponent(item.id)}/act`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ...body, webhook }),
    });
    const answer = await response.json().catch(() => ({ error: 'no answer' }));
    const what = `${label}: ${item.bank} of ${item.user}.`;
    if (!response.ok) write($('said'), `${what} Refused: ${answer.error}.`);
    else if (!answer.webhook) write($('said'), `${what} Plaid sends no webhook about this.`);
    else write($('said'), `${what} Webhook ${answer.webhook.what}: ${answered(answer.webhook)[0]}.`);
    await look();
  }

  function card(item) {
    const node = make('article', 'item');
    const parts = { node, item };
    parts.bank = make('h3');
    parts.user = make('p', 'id');
    parts.pill = make('p', 'pill');
    const list = make('dl');
    parts.facts = {};
    for (const [key, label] of facts) {
      const [term, value] = [make('dt', '', label), make('dd')];
      parts.facts[key] = { term, value };
      list.append(term, value);
    }
    const buttons = make('div', 'buttons');
    parts.buttons = acts.map(([label, body, kind]) => {
      const button = make('button', kind, label);
      button.type = 'button';
      button.addEventListener('click', () => {
        if (button.getAttribute('aria-disabled') !== 'true') press(parts.item, button.textContent, body(parts.item));
      });
      buttons.append(button);
      return button;
    });
    node.append(parts.bank, parts.user, parts.pill, list, buttons);
    return parts;
  }

  function fact(parts, key, text) {
    const { term, value } = parts.facts[key];
    term.hidden = value.hidden = !text;
    write(value, text || '');
  }

  function pill(item) {
    if (item.removed) return ['removed', ''];
    if (item.code && item.bank_down && item.code.startsWith('INSTITUTION')) return ['bank down', 'wait'];
    if (item.code) return [item.reason ? `${item.code}: ${item.reason}` : item.code, 'bad'];
    if (item.disconnect) return ['will be cut off', 'wait'];
    const soon = item.consent_ends_at && Date.parse(item.consent_ends_at) - Date.parse(now) <= WEEK_MS;
    if (soon) return ['consent ends', 'wait'];
    return item.unshared > 0 ? ['healthy, more accounts', 'good'] : ['healthy', 'good'];
  }

  function show(item) {
    const parts = cards.get(item.id) ?? card(item);
    if (!cards.has(item.id)) {
      cards.set(item.id, parts);
      $('items').append(parts.node);
    }
    parts.item = item;
    write(parts.bank, item.bank);
    write(parts.user, `${item.user}, ${item.country}`);
    const [words, kind] = pill(item);
    write(parts.pill, words);
    parts.pill.className = `pill ${kind}`;
    fact(parts, 'item', item.id);
    fact(parts, 'accounts', `${item.shared} shared` + (item.unshared ? `, ${item.unshared} not shared` : ''));
    fact(parts, 'consent', item.consent_ends_at && `ends ${day(item.consent_ends_at)}`);
    fact(parts, 'cut', item.disconnect && `${day(item.disconnect.at)}, ${item.disconnect.reason}`);
    fact(parts, 'webhook', item.webhook ? `to ${item.webhook}` : 'to nobody: no address');
    parts.buttons.forEach((button, index) => {
      if (acts[index][0] === 'Bank down') write(button, item.bank_down ? 'Bank up again' : 'Bank down');
      button.setAttribute('aria-disabled', String(item.removed));
    });
  }

  function line(key, at, title, words, kind, about, body) {
    let parts = rows.get(key);
    if (!parts) {
      parts = { node: make('li'), pill: make('span', 'pill'), about: make('span', 'about'), body: make('pre') };
      const details = make('details');
      const summary = make('summary');
      const time = make('time', '', clock(at));
      time.dateTime = at;
      summary.append(time, make('strong', '', title), parts.pill, parts.about);
      details.append(summary, parts.body);
      parts.node.append(details);
      rows.set(key, parts);
    }
    write(parts.pill, words);
    parts.pill.className = `pill ${kind}`;
    write(parts.about, about);
    parts.about.hidden = !about;
    write(parts.body, body);
    return parts.node;
  }

  // Puts the lines in their order, the new ones first, and moves none that stands where it should.
  function arrange(list, nodes, nothing) {
    if (nodes.length === 0) {
      if (!list.querySelector('.none')) list.replaceChildren(make('li', 'none', nothing));
      return;
    }
    const wanted = new Set(nodes);
    for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
    nodes.forEach((node, index) => {
      if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
    });
  }

  function whose(state, id) {
    const item = state.items.find((candidate) => candidate.id === id);
    return item ? `${item.bank} of ${item.user}` : '';
  }

  function render(state) {
    now = state.now;
    write($('environment'), state.environment);
    $('skips').hidden = !state.can_skip;
    write($('now'), `${day(now)}`);
    $('now').dateTime = now;
    state.items.forEach(show);
    $('no-items').hidden = state.items.length > 0;
    const webhooks = state.webhooks.map((sent) => {
      const tries = sent.tries.map((one) => `${clock(one.at)}  ${one.status ?? one.failure}`).join('\n');
      const body = `${sent.url ?? 'no address'}\n${tries}\n\n${JSON.stringify(sent.body, null, 2)}`;
      return line(`w${sent.number}`, sent.at, sent.what, ...answered(sent), whose(state, sent.item_id), body);
    });
    arrange($('webhooks'), webhooks, 'None yet.');
    const calls = state.calls.map((call) => {
      const about = [call.error_code, whose(state, call.item_id)].filter(Boolean).join(', ');
      const kind = call.status === 200 ? 'good' : 'bad';
      const body = JSON.stringify(call.body, null, 2);
      return line(`c${call.number}`, call.at, call.path, String(call.status), kind, about, body);
    });
    arrange($('calls'), calls, 'None yet.');
    const kept = new Set([...webhooks, ...calls]);
    for (const [key, parts] of rows) if (!kept.has(parts.node)) rows.delete(key);
  }

  async function skip(time, label) {
    await fetch('/demo/skip', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ time }),
    });
    write($('said'), `${label} passed.`);
    await look();
  }
  for (const button of document.querySelectorAll('[data-skip]')) {
    button.addEventListener('click', () => skip(button.dataset.skip, button.textContent));
  }

  async function look() {
    const response = await fetch('/demo/state.json', { cache: 'no-store' });
    render(await response.json());
  }

  async function watch() {
    try {
      if (!document.hidden || now === null) await look();
    } catch {
      write($('said'), 'The demo does not answer. Is it still running?');
    }
    setTimeout(watch, EVERY_MS);
  }
  watch();
})();
