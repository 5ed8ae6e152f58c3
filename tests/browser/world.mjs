// The world around the pages: the demo's Plaid, where things break, and the API, which says how they are.

async function ask(method, url, { body, key } = {}) {
  const headers = { 'Content-Type': 'application/json' };
  if (key) headers.Authorization = `Bearer ${key}`;
  const answer = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${new URL(url).pathname} answers ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

export class World {
  constructor({ plaid, api, key, items }) {
    Object.assign(this, { plaid, api, key, items });
  }

  item(name) {
    return ask('GET', `${this.api}/v1/items/${this.items[name]}`, { key: this.key });
  }

  async state(name) {
    return (await this.item(name)).state;
  }

  /// Waits until an Item has a state.
  async until(name, state, limitMs = 60_000) {
    const end = Date.now() + limitMs;
    while (await this.state(name) !== state) {
      if (Date.now() > end) throw new Error(`${name} is not ${state} within ${limitMs} ms`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  user(name) {
    return ask('GET', `${this.api}/v1/users/${name}`, { key: this.key });
  }

  forget(name) {
    return ask('DELETE', `${this.api}/v1/items/${this.items[name]}`, { key: this.key });
  }

  act(name, body) {
    return ask('POST', `${this.plaid}/demo/items/${this.items[name]}/act`, { body });
  }

  fault(body) {
    return ask('POST', `${this.plaid}/demo/faults`, { body });
  }

  clearFaults() {
    return ask('POST', `${this.plaid}/demo/faults/clear`, { body: null });
  }

  /// Lets time pass for everybody.
  skip(time) {
    return ask('POST', `${this.plaid}/demo/skip`, { body: { time } });
  }

  async tokensMinted() {
    return (await ask('GET', `${this.plaid}/demo/state.json`)).counts['/link/token/create'] ?? 0;
  }

  /// Does at Hosted Link what its page would do: for browsers without script, which cannot run the demo's.
  async hostedLogIn(address) {
    const id = new URL(address).pathname.split('/').at(-1);
    const view = await ask('POST', `${this.plaid}/link/api/start`, { body: { door: { hosted: id } } });
    const body = { link_token: view.link_token, link_session_id: view.link_session_id, outcome: { kind: 'success' } };
    return (await ask('POST', `${this.plaid}/link/api/finish`, { body })).redirect;
  }
}
