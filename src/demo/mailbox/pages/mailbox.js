// The mailbox's page: a list of letters that keeps itself fresh, and the letter that was chosen.
// A letter's HTML stands in a sandboxed frame: no script, no form, nothing from outside; links open a tab of their own.
(() => {
  'use strict';

  const EVERY_MS = 1000;
  const VIEWS = ['html', 'text', 'headers', 'raw'];
  const $ = (id) => document.getElementById(id);
  const known = new Map();
  let newest = 0;
  let shown = null;

  const short = (at) => {
    const time = new Date(at);
    const today = time.toDateString() === new Date().toDateString();
    return time.toLocaleString([], today ? { hour: '2-digit', minute: '2-digit' } : { day: 'numeric', month: 'short' });
  };

  function make(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function entry(letter) {
    const node = make('li');
    const link = make('a');
    link.href = `#${letter.number}`;
    const time = make('time', '', short(letter.at));
    time.dateTime = letter.at;
    link.append(make('span', 'to', `To ${letter.to.join(', ')}`), time);
    link.append(make('span', 'subject new', letter.subject || '(no subject)'), make('span', 'preview', letter.preview));
    node.append(link);
    known.set(letter.number, link);
    return node;
  }

  async function look() {
    const response = await fetch(`/letters.json?after=${newest}`, { cache: 'no-store' });
    const { letters } = await response.json();
    if (letters.length > 0) {
      newest = letters[0].number;
      $('letters').prepend(...letters.map(entry));
      mark();
    }
    const count = known.size;
    const words = count === 1 ? '1 letter' : `${count} letters`;
    if ($('count').textContent !== words) $('count').textContent = words;
    $('empty').hidden = count > 0;
  }

  function mark() {
    for (const [number, link] of known) {
      if (number === shown) {
        link.setAttribute('aria-current', 'true');
        link.querySelector('.subject').classList.remove('new');
      } else {
        link.removeAttribute('aria-current');
      }
    }
  }

  function view(name) {
    for (const other of VIEWS) {
      const chosen = other === name;
      $(`tab-${other}`).setAttribute('aria-selected', String(chosen));
      $(`tab-${other}`).tabIndex = chosen ? 0 : -1;
      $(`view-${other}`).hidden = !chosen;
    }
    $('narrow-label').hidden = name !== 'html';
    if (name === 'raw') readRaw();
  }

  async function readRaw() {
    const response = await fetch(`/letters/${shown}.eml`);
    $('raw').textContent = await response.text();
  }

  function facts(letter) {
    const rows = [['From', letter.from], ['To', letter.to.join(', ')], ['Arrived', new Date(letter.at).toLocaleString()]];
    return rows.flatMap(([name, value]) => [make('dt', '', name), make('dd', '', value)]);
  }

  async function open(number) {
    const response = await fetch(`/letters/${number}.json`);
    if (!response.ok) return close();
    const letter = await response.json();
    shown = number;
    $('subject').textContent = letter.subject || '(no subject)';
    $('about').replaceChildren(...facts(letter));
    $('stop').hidden = !letter.one_click;
    $('stopped').textContent = '';
    // The frame inherits this page's policy, so that nothing is loaded from outside.
    $('frame').srcdoc = letter.html ? `<base target="_blank">${letter.html}` : '';
    $('text').textContent = letter.text ?? 'This letter has no text part.';
    $('headers').replaceChildren(...letter.headers.map(({ name, value }) => {
      const row = make('tr');
      row.append(make('td', '', name), make('td', '', value));
      return row;
    }));
    $('tab-html').hidden = letter.html === null;
    view(letter.html === null ? 'text' : 'html');
    $('letter').hidden = false;
    $('none').hidden = true;
    $('main').classList.add('open');
    mark();
    $('subject').focus();
  }

  function close() {
    shown = null;
    $('letter').hidden = true;
    $('none').hidden = false;
    $('main').classList.remove('open');
    mark();
  }

  function go() {
    const number = Number(window.location.hash.slice(1));
    if (number) open(number);
    else close();
  }

  $('back').addEventListener('click', () => {
    const last = known.get(shown);
    window.location.hash = '';
    close();
    if (last) last.focus();
  });
  $('narrow').addEventListener('change', (change) => $('frame').classList.toggle('narrow', change.target.checked));
  for (const name of VIEWS) $(`tab-${name}`).addEventListener('click', () => view(name));
  $('tabs').addEventListener('keydown', (press) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[press.key];
    if (!step) return;
    const there = VIEWS.filter((name) => !$(`tab-${name}`).hidden);
    const at = there.findIndex((name) => `tab-${name}` === document.activeElement.id);
    const next = there[(at + step + there.length) % there.length];
    view(next);
    $(`tab-${next}`).focus();
  });
  $('unsubscribe').addEventListener('click', async () => {
    $('stopped').textContent = 'Asking the sender…';
    const response = await fetch(`/letters/${shown}/unsubscribe`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: 'null',
    });
    const answer = await response.json();
    $('stopped').textContent = response.ok ? `The sender answered ${answer.status}.` : `Not sent: ${answer.error}.`;
  });
  window.addEventListener('hashchange', go);

  async function watch() {
    try {
      if (!document.hidden || newest === 0) await look();
    } catch {
      $('count').textContent = 'The demo does not answer.';
    }
    setTimeout(watch, EVERY_MS);
  }
  watch();
  go();
})();
