// The repair page's behaviour: one press opens Plaid Link, and the page then asks the server whether the bank works.
// It decides nothing: the server does. The public token that Link hands over is never sent anywhere.
// Written for the old browsers inside mail apps (ES2017). A line that begins with // is not sent to the browser.
(function () {
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
// The rest of both comes with a Link token.
let words = data.words;
const errors = data.errors || {};
const KEPT = 'relinkd.repair';
// As long as a Link token for update mode lives.
const KEPT_MS = 30 * 60 * 1000;
const LOAD_MS = 10 * 1000;
const ANSWER_MS = 25 * 1000;
// Together about half a minute: after that the person may go, the server goes on asking.
const ASK_AGAIN_MS = [0, 1500, 2500, 4000, 6000, 8000, 8000];

// After these the person goes to the application, and after these the page's own button is not what comes next.
const TO_APP = ['anew', 'other_login', 'slow'];
const NOT_AGAIN = ['anew', 'other_login', 'slow', 'ours', 'limit', 'blocked', 'bank_down'];

const byId = id => document.getElementById(id);
const pause = ms => new Promise(done => setTimeout(done, ms));
const fill = (text, bank) => text.replace(/\{bank\}/g, () => bank);

// What is kept for the way back from the bank. Not sessionStorage: a bank's app returns in a new tab. The Link token is
// thrown away when Link is done, the rest does not count after half an hour.
function keep(job, token, hosted) {
const note = { path: job.path, item: job.item, bank: job.bank, token: token, hosted: hosted, until: Date.now() + KEPT_MS };
try { localStorage.setItem(KEPT, JSON.stringify(note)); } catch (e) { /* private mode: the way back asks for the email's link */ }
}
function forget() {
try { localStorage.removeItem(KEPT); } catch (e) { /* nothing was kept */ }
}
function kept() {
try {
const found = JSON.parse(localStorage.getItem(KEPT));
if (found && found.until > Date.now() && /^\/[^/\\]/.test(found.path)) return found;
} catch (e) { /* the same as nothing */ }
forget();
return null;
}

// The server's answer as { status, body }; status 0 when there was none.
async function post(address, message) {
const timer = window.AbortController ? new AbortController() : null;
const clock = timer && setTimeout(() => timer.abort(), ANSWER_MS);
try {
const answer = await fetch(address, {
method: 'POST',
headers: { 'Content-Type': 'application/json', 'Accept': 'application/json' },
body: JSON.stringify(message),
signal: timer ? timer.signal : undefined
});
let body = {};
try { body = await answer.json() || {}; } catch (e) { /* not every answer has a body */ }
return { status: answer.status, body: body };
} catch (e) {
return { status: 0, body: {} };
} finally {
clearTimeout(clock);
}
}

// Plaid's script comes only after a press: a mail scanner that renders the page calls nobody.
function loadLink() {
return new Promise((loaded, failed) => {
if (window.Plaid) return loaded();
const tag = document.createElement('script');
const stop = setTimeout(() => { tag.remove(); failed(); }, LOAD_MS);
tag.onload = () => { clearTimeout(stop); if (window.Plaid) loaded(); else failed(); };
tag.onerror = () => { clearTimeout(stop); tag.remove(); failed(); };
tag.src = data.link_script;
document.head.appendChild(tag);
});
}

// Link's own words are not shown: they come in Link's time and tone, and now and then in another language.
const exitWords = error => error ? errors[error.error_code] || errors[error.error_type] || 'failed' : 'left';

// A job is one press for one bank: { path, item, bank, say, rest, works }.
async function start(job, renewed) {
job.say('opening');
const message = { item_id: job.item };
// The server hands out the same token while it is fresh; this one turned out to be dead. Plaid's own page tells nobody:
// but who went there and did not come back the right way is not sent to the same page again.
const before = kept();
if (renewed || (before && before.hosted && before.item === job.item)) message.renew = true;
const answer = await post(job.path + '/link', message);
const body = answer.body;
if (answer.status === 200 && body.link_token && data.link_script) {
// The page's own come first: the way back is in the browser's language, which need not be the user's.
words = Object.assign({}, body.words, words);
Object.assign(errors, body.errors);
return openLink(job, body, renewed);
}
if (answer.status === 200 && body.hosted_link_url) {
keep(job, null, true);
return location.assign(body.hosted_link_url);
}
if (answer.status === 409 && body.state !== 'anew') return job.works();
// The page itself says why, in the server's words.
if (answer.status === 410) return location.replace(job.path);
if (answer.status === 409) job.say('anew');
else if (answer.status === 429) job.say('wait');
else if (answer.status === 503) job.say({ bank: 'bank_down', ours: 'ours' }[body.trouble] || 'plaid_down');
else job.say(answer.status === 0 ? 'offline' : 'failed');
job.rest();
}

async function openLink(job, body, renewed, receivedRedirectUri) {
// The address holds the letter's token: it goes out of sight before a foreign script runs. Not at once at load, because
// "open in the browser" of a mail app needs the whole address. A reload of the new address leads back to the page.
history.replaceState(null, '', receivedRedirectUri ? location.pathname : job.path.replace(/\/repair\/[^/]*$/, '/repair-return'));
keep(job, body.link_token, false);
try {
await loadLink();
} catch (e) {
forget();
history.replaceState(null, '', job.path);
job.say('blocked');
return job.rest();
}
let link = null;
const close = () => { if (link) link.destroy(); link = null; keep(job, null, false); };
const settings = {
token: body.link_token,
onSuccess: (publicToken, about) => { close(); check(job, about && about.link_session_id); },
onExit: error => {
close();
if (error && error.error_code === 'INVALID_LINK_TOKEN' && !renewed) return start(job, true);
// Removed while Link was open: the page says so.
if (error && error.error_code === 'ITEM_CONCURRENTLY_DELETED') return location.replace(job.path);
job.say(exitWords(error));
job.rest();
}
};
if (receivedRedirectUri) settings.receivedRedirectUri = receivedRedirectUri;
try {
link = window.Plaid.create(settings);
link.open();
job.say('open');
} catch (e) {
close();
job.say('failed');
job.rest();
}
}

// Link's success proves nothing: only Plaid's answer to the server does.
async function check(job, session) {
job.say('checking');
for (const ms of ASK_AGAIN_MS) {
await pause(ms);
const answer = await post(job.path + '/done', { item_id: job.item, link_session_id: session || null });
if (answer.status === 410) return location.replace(job.path);
if (answer.body.state === 'works') return job.works();
if (answer.body.state === 'broken') { job.say('still_broken'); return job.rest(); }
}
job.say('slow');
job.rest();
}

function sayInto(line, bank, key) {
line.textContent = fill(words[key], bank);
}

// Plaid's own page, where Plaid's script cannot be loaded: another button of the form, which needs no script of ours.
function offerHosted(line, job) {
const way = document.createElement('button');
way.name = 'item_id';
way.value = job.item;
way.textContent = words.hosted;
way.addEventListener('click', () => keep(job, null, true));
line.appendChild(way);
}

function repairPage() {
const banks = Array.from(document.querySelectorAll('section'));
const sections = banks.filter(section => section.querySelector('button'));
let running = false;
// aria-disabled, not disabled: a disabled button loses the focus.
const mark = on => {
running = on;
sections.forEach(section => {
const button = section.querySelector('button');
if (button) button.setAttribute('aria-disabled', on);
});
};
const done = (section, bank) => {
mark(false);
const reason = section.querySelector('.reason');
section.querySelector('button').remove();
section.querySelector('.status').remove();
reason.textContent = words.works;
reason.classList.add('good');
if (section.querySelector('h2')) section.querySelector('h2').textContent = section.dataset.title || bank;
const other = sections.find(one => one.querySelector('button'));
if (other) {
sayInto(other.querySelector('.status'), bank, 'go_on');
return other.querySelector('h2').focus();
}
const title = byId('title');
title.textContent = banks.length > 1 ? words.done_all_heading : section.dataset.done || fill(words.done_heading, bank);
title.classList.add('good');
document.title = title.textContent + ' – ' + data.brand;
if (byId('lead')) byId('lead').textContent = words.done_text;
else { reason.textContent = words.done_text; reason.classList.remove('good'); }
byId('next').hidden = true;
byId('open').hidden = false;
title.focus();
};
sections.forEach(section => {
const button = section.querySelector('button');
const bank = section.dataset.bank;
button.addEventListener('click', event => {
event.preventDefault();
if (running) return;
mark(true);
start({
path: new URL(button.form.action).pathname.replace(/\/link$/, ''),
item: button.value,
bank: bank,
say: function (key) {
const line = section.querySelector('.status');
sayInto(line, bank, key);
if (key === 'blocked') offerHosted(line, this);
section.classList.toggle('second', NOT_AGAIN.includes(key));
byId('open').hidden = !TO_APP.includes(key);
},
rest: () => mark(false),
works: () => done(section, bank)
});
});
});
// Back from the bank's page with the browser's own button: the page is as it was left, so wake it up.
window.addEventListener('pageshow', event => { if (event.persisted) location.reload(); });
}

function backPage() {
const found = kept();
// The page as it stands says what to do.
if (!found) return;
const oauth = /[?&]oauth_state_id=/.test(location.search);
// A reload after the press, or a second one after the way back.
if (!found.hosted && !(oauth && found.token)) return location.replace(found.path);
byId('lost').hidden = true;
const heading = byId('title').textContent;
byId('title').textContent = fill(data.finishing, found.bank);
const again = byId('again');
again.querySelector('a').href = found.path;
const job = {
path: found.path,
item: found.item,
bank: found.bank,
say: key => sayInto(byId('status'), found.bank, key),
rest: () => { byId('title').textContent = heading; again.hidden = false; },
works: () => location.replace(found.path)
};
if (found.hosted) { keep(job, null, false); return check(job, null); }
openLink(job, { link_token: found.token }, false, location.href);
}

if (data.page === 'back') backPage(); else repairPage();
}());
