-- The whole state of relinkd, in one SQLite file. This is the truth for a new database; a test holds it against the
-- migrations of `src/store/migrations.rs`.
--
-- Times are milliseconds since 1970 in UTC. Names of states, kinds and statuses are those of the API. Columns called
-- "sealed" hold the id of a key, a nonce and an AES-256-GCM ciphertext that is bound to its table, column and row: moved
-- elsewhere, it does not open.

-- What is true of the store itself: `sealing_anew` is how far it is sealed with a new key, `probe` when the last write
-- was tried, `bodies_purged_to` the webhook up to which all bodies are gone.
create table meta (
  name   text primary key,
  value  blob not null
) strict, without rowid;

-- The keys that something here is or was sealed with, one row a `data_key`.
create table data_keys (
  key_id      blob primary key,           -- what its values begin with
  canary      blob not null,              -- sealed with it, so that a wrong key fails at start
  since       integer not null,           -- when it began to seal
  until       integer,                    -- when another began; nothing for the one that seals
  emptied_at  integer,                    -- when nothing was sealed with it any more: from then on it can be removed
  heritage    blob                        -- sealed with the present key: by what its links and addresses are known
) strict, without rowid;

-- End users. A user may be known before (by an Item) or after an address was given.
create table users (
  user_id        text primary key,
  contact        blob,                    -- sealed: the address and the name
  address_hmac   blob,                    -- finds the user by address
  locale         text,
  time_zone      text,                    -- an IANA name; the configured one where missing
  created_at     integer not null,
  updated_at     integer not null,
  stopped_at     integer,                 -- wants no letters
  snoozed_until  integer,
  erased_at      integer,                 -- nothing personal is left in this row
  due_at         integer                  -- when there may be something to write
) strict, without rowid;

-- Addresses that take no letters, whoever has them: it bounced, somebody called a letter spam, or the operator said so. They
-- outlive their users, so the address itself is not here: it is found by its HMAC.
create table suppressions (
  address_hmac  blob primary key,
  reason        text not null check (reason in ('gone', 'complaint', 'operator')),
  source        text not null check (source in ('smtp', 'report', 'postmark', 'mailgun', 'resend', 'api')),
  since         integer not null,
  note          text                      -- what the mail server said, with addresses masked
) strict, without rowid;

create index suppressions_since on suppressions (since);

create index users_due on users (due_at) where due_at is not null;
create index users_by_address on users (address_hmac) where address_hmac is not null;

-- Items. What is open about one stands in `episodes`; `state` is derived from them and kept for lists.
create table items (
  item_id             text primary key,
  user_id             text not null references users,
  access_token        blob,               -- sealed; gone with the Item
  token               text not null check (token in ('unproven', 'proven', 'foreign', 'refused')),
  created_at          integer not null,   -- when Plaid made it; until Plaid says so, the first registration
  registered_at       integer not null,   -- the present token
  institution_id      text,
  institution_name    text,               -- the bank's word: untrusted text
  country_codes       text,               -- JSON; the configured ones where missing
  state               text not null check (state in
                        ('removed', 'revoked', 'login_required', 'pending_expiration', 'new_accounts', 'healthy')),
  since               integer not null,
  removed_at          integer,
  removed_why         text check (removed_why in ('application', 'unknown_to_plaid')),
  claim_at            integer,            -- update mode was said to have worked
  impaired_since      integer,
  impaired_code       text,
  superseded_by       text,
  snoozed_until       integer,            -- 9999-01-01: until letters about it are resumed
  held_since          integer,            -- letters about what was found at its import wait for the operator
  released_at         integer check (held_since is null or released_at is null), -- and here they were released
  consent_expires_at  integer,
  observed_at         integer,            -- when the question of Plaid's latest answer was asked
  webhooks_go         text check (webhooks_go in ('here', 'elsewhere', 'nowhere')), -- where Plaid sends them, as it last said
  missed_webhook_at   integer,            -- when Plaid sent the latest webhook that is known never to have come
  suspect             integer not null default 0, -- 1 if broken or doubtful: asked about first, and more often
  checked_at          integer not null default 0, -- when the sweep last took it, or Plaid's latest answer was asked for
  episodes            integer not null,   -- how many there have been
  due_at              integer             -- when the clock alone changes something
) strict, without rowid;

create index items_by_user on items (user_id);
create index items_by_state on items (state, item_id);
create index items_by_institution on items (institution_id, item_id) where institution_id is not null;
create index items_by_institution_and_state on items (institution_id, state, item_id) where institution_id is not null;
create index items_due on items (due_at) where due_at is not null;
create index items_astray on items (item_id) where webhooks_go in ('elsewhere', 'nowhere') and removed_at is null;
create index items_by_turn on items (suspect, checked_at) where removed_at is null;

-- What is held and would be written about, the longest broken first.
create index items_held on items (since, user_id)
  where held_since is not null and token = 'proven' and state <> 'healthy' and superseded_by is null;

-- What the accounts of an Item are known by, as of the last time that Plaid was asked for them: HMACs, each after the id of
-- its key; never a name or a mask. They say whether two Items share an account, and whether a repair led to other ones.
create table accounts (
  item_id      text not null references items,
  fingerprint  blob not null,             -- one for each key that is known
  made_from    text not null check (made_from in ('name_mask', 'name', 'persistent')),
  primary key (item_id, fingerprint)
) strict, without rowid;

-- Episodes: one condition of one Item from opening to closing.
create table episodes (
  item_id         text not null references items,
  number          integer not null,       -- counted per Item, from 1
  kind            text not null check (kind in ('revoked', 'login_required', 'pending_expiration', 'new_accounts')),
  opened_at       integer not null,
  closed_at       integer,
  outcome         text check (outcome in ('repaired', 'healed', 'lapsed', 'overtaken', 'removed')),
  rungs_passed    integer not null,       -- of the ladder
  letters         integer not null,       -- handed to the mail server, and not come back
  code            text,                   -- login_required, revoked: Plaid's error_code
  reason          text,                   -- login_required: Plaid's error_code_reason
  cure            text check (cure in ('log_in', 'choose_accounts')),
  broken_at       integer,                -- login_required: the latest break
  evidence_at     integer,                -- login_required: the newest sign of it
  answered        integer,                -- login_required: letters that "it works again" has answered
  deadline_at     integer,                -- pending_expiration
  deadline_known  integer,                -- pending_expiration: 1 if Plaid named the moment
  why             text check (why in ('consent_ends', 'bank_moves', 'unsaid')),
  primary key (item_id, number)
) strict, without rowid;

-- How many logins broke at a bank in a minute: when several do at once, it is the bank's fault, and letters wait.
create table breaks (
  institution_id  text not null,
  minute          integer not null,       -- since 1970
  count           integer not null,
  primary key (institution_id, minute)
) strict, without rowid;

create unique index episodes_open on episodes (item_id, kind) where closed_at is null;

-- One row a step: what happened, and what followed.
create table journal (
  id            integer primary key,
  item_id       text not null,
  at            integer not null,
  cause         text not null,            -- where the event came from: "webhook 17", "api", "letter …"
  event         text not null,            -- JSON, without secrets
  state_before  text not null,
  state_after   text not null,
  effects       text not null             -- JSON
) strict;

create index journal_by_item on journal (item_id, id);

-- Webhooks as received. Answered 200 means: a row here is on disk.
create table inbox (
  id            integer primary key,
  received_at   integer not null,
  source        text not null default 'delivered' check (source in ('delivered', 'caught_up')),
  message_id    text,                     -- caught_up: Plaid's `webhook_message_id`
  signed_at     integer not null,         -- `iat` of the signature; caught_up: when Plaid sent it, which nobody signed
  age           text not null check (age in ('fresh', 'late', 'early')),
  body_sha256   blob not null,
  body          blob,                     -- sealed; gone once it is older than [retention] webhook_bodies
  status        text not null check (status in ('new', 'applied', 'parked', 'noted')),
  webhook_type  text,
  webhook_code  text,
  item_id       text,
  note          text,                     -- why it was not applied
  settled_at    integer,
  ours          integer not null default 1, -- 0 if it is noted and names no Item that was registered then
  check ((source = 'caught_up') = (message_id is not null))
) strict;

create index inbox_new on inbox (id) where status = 'new';
create index inbox_parked on inbox (item_id, id) where status = 'parked';
create index inbox_strangers on inbox (id) where status = 'noted' and ours = 0;
create index inbox_signed on inbox (signed_at);
create unique index inbox_message on inbox (message_id) where message_id is not null;
create index inbox_by_item on inbox (item_id, signed_at);

-- What is to be done outside a step. The key makes writing one twice nothing.
create table outbox (
  key         text primary key,
  item_id     text not null,
  effect      text not null,              -- JSON
  due_at      integer not null,
  attempts    integer not null default 0,
  lease       integer,                    -- who claimed it; void at start, since there is one process
  last_error  text
) strict, without rowid;

create index outbox_due on outbox (due_at) where lease is null;

-- What is done by the clock alone, for all Items together: when it was done last, and when it is due. A row outlives a
-- restart, so that what came due meanwhile is done then.
create table appointments (
  name      text primary key check (name in ('sweep', 'purge')),
  last_at   integer,
  due_at    integer not null
) strict, without rowid;

-- What the application is told, in the order in which it happened. It holds no secret: where a link belongs into an event, its
-- address is written when the event is read.
create table events (
  id         integer primary key,         -- given in the order of commits; the newest row is never deleted
  at         integer not null,
  type       text not null,               -- such as item.state_changed
  item_id    text,
  user_id    text,
  letter_id  text,
  data       text not null                -- JSON: what else is to be said
) strict;

create index events_by_item on events (item_id) where item_id is not null;
create index events_by_user on events (user_id) where user_id is not null;
create index events_by_letter on events (letter_id) where letter_id is not null;

-- Letters. composed -> leased -> data_started -> accepted | deferred | bounced | uncertain; withheld if it was not so any
-- more; written_down if `only_to` keeps it here.
create table letters (
  letter_id    text primary key,
  user_id      text not null,
  composed_at  integer not null,
  status       text not null check (status in ('composed', 'leased', 'data_started', 'accepted', 'deferred', 'bounced',
                 'uncertain', 'withheld', 'written_down')),
  reminder     integer not null,          -- 1 unless it says nothing but "it works again"
  link_id      text not null references links,
  due_at       integer,                   -- when to try; nothing once settled
  attempts     integer not null default 0,
  uncertain    integer not null default 0, -- how often the body went out and no reply came
  language     text,
  subject      text,
  reply        text,                      -- what the mail server said last
  note         text,                      -- why it waits, or why it did not leave
  settled_at   integer,
  address_hmac blob,                      -- where its body went: an address may change before it bounces
  provider     text,                      -- the mailbox provider, where its letters are counted
  provider_day integer,                   -- the day on which it is counted, since 1970 in UTC
  bounce       text check (bounce in ('hard', 'soft', 'complaint')) -- what came back
) strict, without rowid;

create index letters_due on letters (due_at) where due_at is not null;
create index letters_by_address on letters (address_hmac, composed_at) where address_hmac is not null;
create index letters_settled on letters (settled_at) where status in ('accepted', 'bounced');
create index letters_by_user on letters (user_id, composed_at);
create index letters_by_link on letters (link_id);

-- What a letter says about which Item. A rung is written at most once.
create table letter_lines (
  letter_id  text not null references letters,
  item_id    text not null,
  episode    integer not null,
  topic      text not null check (topic in ('reminder', 'works_again', 'fresh_link')),
  kind       text,
  rung       integer,
  dropped    integer not null default 0,  -- 1 if it is said to nobody: not so any more, or the letter came back
  primary key (letter_id, item_id)
) strict, without rowid;

create unique index letter_lines_rung on letter_lines (item_id, episode, kind, rung)
  where topic = 'reminder' and dropped = 0;
create index letter_lines_by_episode on letter_lines (item_id, episode);

-- The plan by which letters about imported Items are released. One row while there is one.
create table letter_release (
  id            integer primary key check (id = 1),
  per_day       integer check (per_day > 0), -- users; all at once where missing
  day_began_at  integer not null,
  today         integer not null,         -- users released since then
  total         integer not null,         -- users released since the plan began
  due_at        integer not null          -- when to look again
) strict;

-- Links in letters: `id.mac`. The mac is made from a derived key, so the row opens nothing by itself.
create table links (
  link_id     text primary key,
  user_id     text not null,
  created_at  integer not null,
  expires_at  integer not null,
  revoked_at  integer
) strict, without rowid;

create index links_by_user on links (user_id);

-- Presses of the repair button: one Link token each.
create table sessions (
  session_id       text primary key,
  item_id          text not null,
  link_token       blob not null,         -- sealed
  link_token_hmac  blob not null,         -- finds the session when a webhook names the token
  hosted_url       blob,                  -- sealed
  opened_at        integer not null,
  expires_at       integer not null,
  finished_at      integer
) strict, without rowid;

create index sessions_by_item on sessions (item_id, opened_at);
create unique index sessions_by_token on sessions (link_token_hmac);

-- Plaid's verification keys, so that a restart while Plaid is away refuses nobody.
create table verification_keys (
  kid         text primary key,
  jwk         text not null,
  fetched_at  integer not null
) strict, without rowid;

-- Pauses of all letters: too many bounce, or the sender is at fault. At most one is open; letters wait meanwhile.
create table pauses (
  id        integer primary key,
  why       text not null check (why in ('bounces', 'sender')),
  note      text not null,                -- the figures, or what the mail server said
  since     integer not null,
  until     integer,                      -- when one letter tries whether it works again; nothing: the operator decides
  tries     integer not null default 0,
  ended_at  integer,
  ended_by  text check (ended_by in ('operator', 'letter'))
) strict;

create unique index pauses_open on pauses ((ended_at is null)) where ended_at is null;

-- Letters to the users of one mailbox provider on one day, where there is a cap. Whose letters they are is not noted.
create table provider_days (
  provider  text not null,
  day       integer not null,             -- since 1970, in UTC
  letters   integer not null,
  primary key (provider, day)
) strict, without rowid;

-- What mail services told us, by the name that each gives to an event: told twice, it counts once.
create table mail_events (
  service  text not null,
  event    text not null,
  at       integer not null,
  primary key (service, event)
) strict, without rowid;

create index mail_events_at on mail_events (at);
