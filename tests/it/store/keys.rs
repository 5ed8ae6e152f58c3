//! A new data key: everything is sealed anew, step by step, whatever ends the process meanwhile; then the old one can go.

use std::collections::BTreeMap;
use std::sync::Arc;

use relinkd::domain::contact::{EmailAddress, PersonName};
use relinkd::domain::event::Event;
use relinkd::domain::ids::{SessionId, UserId};
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::store::seal::{KeyId, Sealer};
use relinkd::store::{
    Age, DataKeyView, Meaning, NewProfile, OpenError, Purpose, SCHEMA, SealingAnew, Session, Store, Verdict,
};
use rusqlite::Connection;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::{KEY, Place, at, item_id, register};

const NEW: [u8; 32] = *b"another-data-key-0123456789abcde";
const NEWEST: [u8; 32] = *b"a-third-data-key-0123456789abcde";

const ROWS: usize = 7;

fn user(number: usize) -> UserId {
    UserId::parse(format!("user-{number}")).expect("an id")
}

fn email(number: usize) -> EmailAddress {
    EmailAddress::parse(&format!("user-{number}@example.com")).expect("an address")
}

fn session(number: usize) -> SessionId {
    SessionId(Uuid::from_u128(number as u128 + 1))
}

fn open(place: &Place, key: [u8; 32], old: &[[u8; 32]]) -> Result<Store, OpenError> {
    Store::open(&place.path(), Sealer::new(&key, old), at(100))
}

/// Users, Items, webhooks and presses, [`ROWS`] of each, and a link.
async fn fill(store: &Store) -> String {
    for n in 0..ROWS {
        let name = PersonName::parse("A. User");
        let profile = NewProfile { id: user(n), email: Some(email(n)), name, locale: None, time_zone: None };
        store.put_user(profile, at(0)).await.expect("written");
        register(store, &format!("item-{n}"), &format!("user-{n}"), at(0)).await;
        let body = format!("{{\"webhook\": {n}}}");
        let webhook = store.seal_webhook(at(0), at(0), Age::Fresh, [1; 32], body.as_bytes());
        store.append_webhook(webhook).await.expect("it is on disk");
        let press = Session {
            id: session(n),
            item: item_id(&format!("item-{n}")),
            link_token: format!("link-sandbox-{n}"),
            hosted_url: Some(format!("https://hosted.example/{n}")).filter(|_| n % 2 == 0),
            opened_at: at(0),
            expires_at: at(1800),
            finished: false,
        };
        store.open_session(press, rule(&Policy::default(), at(0))).await.expect("kept");
    }
    let link = store.create_link(user(0), at(0)).await.expect("made");
    store.link_token(Purpose::Repair, &link)
}

/// Everything that is sealed opens and is what it was; addresses and Link tokens are found.
async fn all_is_there(store: &Store, path: &std::path::Path, sealer: &Sealer) {
    let raw = Connection::open(path).expect("a database");
    for n in 0..ROWS {
        let profile = store.user(user(n)).await.expect("it opens").expect("it is there");
        assert_eq!((profile.email, profile.name), (Some(email(n)), PersonName::parse("A. User")));
        let token = store.access_token(item_id(&format!("item-{n}"))).await.expect("it opens").expect("it is there");
        assert_eq!(token.expose_secret(), format!("access-sandbox-item-{n}"));
        let press = store.session(session(n)).await.expect("it opens").expect("it is there");
        assert_eq!((press.link_token, press.hosted_url.is_some()), (format!("link-sandbox-{n}"), n % 2 == 0));
        let found = |sql: &str, purpose: &str, secret: &str| -> Vec<String> {
            let of_key = |hmac: Vec<u8>| raw.query_row(sql, [hmac], |row| row.get(0)).ok();
            sealer.lookups(purpose, secret).filter_map(of_key).collect()
        };
        let by_address = "select user_id from users where address_hmac = ?1";
        assert_eq!(found(by_address, "address", &email(n).for_lookup()), [user(n).as_str()]);
        let by_token = "select session_id from sessions where link_token_hmac = ?1";
        assert_eq!(found(by_token, "link token", &format!("link-sandbox-{n}")), [session(n).to_string()]);
    }
    let bodies: Vec<_> = store.unread_webhooks(100).await.expect("it reads").into_iter().map(|row| row.body).collect();
    let sent: Vec<_> = (0..ROWS).map(|n| Some(format!("{{\"webhook\": {n}}}").into_bytes())).collect();
    assert_eq!(bodies, sent);
}

/// With which keys something in the file is sealed, and how much.
fn sealed_with(path: &std::path::Path) -> BTreeMap<Vec<u8>, i64> {
    let raw = Connection::open(path).expect("a database");
    let columns = "select contact as sealed from users union all select access_token from items
                   union all select body from inbox union all select link_token from sessions
                   union all select hosted_url from sessions where hosted_url is not null
                   union all select heritage from data_keys where heritage is not null";
    let sql = format!("select substr(sealed, 1, 4), count(*) from ({columns}) group by 1");
    let mut statement = raw.prepare(&sql).expect("SQL");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

/// How many steps it takes until everything is sealed with the present key.
async fn to_the_end(store: &Store) -> usize {
    for steps in 0..100 {
        match store.seal_anew(2, at(200)).await.expect("a step") {
            SealingAnew::Left(_) => {}
            SealingAnew::Finished | SealingAnew::Nothing => return steps,
        }
    }
    panic!("no end");
}

async fn view(store: &Store, key: &[u8; 32]) -> DataKeyView {
    let id = Sealer::new(key, &[]).key_id();
    let views = store.data_keys().await.expect("it reads");
    views.into_iter().find(|view| view.key_id == id).expect("it is listed")
}

fn only(key: &[u8; 32]) -> Vec<Vec<u8>> {
    vec![Sealer::new(key, &[]).key_id().bytes().to_vec()]
}

#[tokio::test]
async fn after_a_new_key_everything_is_sealed_anew_and_the_old_one_can_go() {
    let place = Place::new();
    let store = open(&place, KEY, &[]).expect("a new store");
    let link = fill(&store).await;
    assert_eq!(store.seal_anew(2, at(1)).await.expect("nothing to do"), SealingAnew::Nothing);
    drop(store);
    let store = open(&place, NEW, &[KEY]).expect("both keys are there");
    assert_eq!(view(&store, &KEY).await.left, None, "not counted yet");
    assert!(matches!(store.seal_anew(2, at(101)).await, Ok(SealingAnew::Left(28))), "they are counted");
    assert_eq!(view(&store, &KEY).await.left.expect("counted").to_string(), "7 Items, 7 sessions, 7 users, 7 webhooks");
    let steps = to_the_end(&store).await;
    assert!((14..=20).contains(&steps), "{steps} steps of two rows");
    assert_eq!(store.seal_anew(2, at(300)).await.expect("nothing to do"), SealingAnew::Nothing);
    let old = view(&store, &KEY).await;
    assert!(old.can_be_removed && !old.seals && old.emptied_at == Some(at(200)), "{old:?}");
    assert!(view(&store, &NEW).await.seals);
    assert_eq!(sealed_with(&place.path()).into_keys().collect::<Vec<_>>(), only(&NEW));
    drop(store);
    let store = open(&place, NEW, &[]).expect("the old key is not needed");
    all_is_there(&store, &place.path(), &Sealer::new(&NEW, &[])).await;
    let opened = store.open_link(Purpose::Repair, &link, at(400)).await.expect("it reads");
    assert_eq!(opened, Some(user(0)), "a link that was mailed goes on working");
    assert_eq!(store.data_keys().await.expect("it reads").len(), 1, "what is gone is not listed");
}

#[tokio::test]
async fn it_goes_on_wherever_it_ended_and_serves_meanwhile() {
    let both = Sealer::new(&NEW, &[KEY]);
    for steps in 0..18 {
        let place = Place::new();
        let store = open(&place, KEY, &[]).expect("a new store");
        let link = fill(&store).await;
        drop(store);
        let store = open(&place, NEW, &[KEY]).expect("both keys are there");
        for _ in 0..steps {
            store.seal_anew(2, at(101)).await.expect("a step");
        }
        drop(store);
        let before = sealed_with(&place.path());
        let store = open(&place, NEW, &[KEY]).expect("it goes on");
        all_is_there(&store, &place.path(), &both).await;
        assert_eq!(store.open_link(Purpose::Stop, &link.replace('.', "x."), at(102)).await.expect("it reads"), None);
        assert_eq!(store.open_link(Purpose::Repair, &link, at(102)).await.expect("it reads"), Some(user(0)));
        assert_eq!(before, sealed_with(&place.path()), "what was sealed anew is still so");
        to_the_end(&store).await;
        assert_eq!(sealed_with(&place.path()).into_keys().collect::<Vec<_>>(), only(&NEW), "after {steps} steps");
        drop(store);
        open(&place, NEW, &[]).expect("the old key is not needed");
    }
}

#[tokio::test]
async fn what_is_written_meanwhile_is_kept_and_what_is_erased_stays_so() {
    let place = Place::new();
    let store = open(&place, KEY, &[]).expect("a new store");
    fill(&store).await;
    drop(store);
    let store = open(&place, NEW, &[KEY]).expect("both keys are there");
    store.seal_anew(2, at(101)).await.expect("counted");
    store.seal_anew(2, at(101)).await.expect("two users");
    // One whose turn was, and one whose turn comes.
    for n in [0, 5] {
        let moved = EmailAddress::parse(&format!("moved-{n}@example.com")).expect("an address");
        let profile = NewProfile { id: user(n), email: Some(moved), name: None, locale: None, time_zone: None };
        store.put_user(profile, at(102)).await.expect("written");
    }
    for n in [1, 6] {
        assert!(store.erase_user(user(n), rule(&Policy::default(), at(103))).await.expect("erased"));
    }
    to_the_end(&store).await;
    drop(store);
    let store = open(&place, NEW, &[]).expect("the old key is not needed");
    for n in 0..ROWS {
        let address = store.user(user(n)).await.expect("it reads").and_then(|user| user.email);
        let expected = match n {
            0 | 5 => EmailAddress::parse(&format!("moved-{n}@example.com")).ok(),
            1 | 6 => None,
            _ => Some(email(n)),
        };
        assert_eq!(address, expected, "user {n}");
        let token = store.access_token(item_id(&format!("item-{n}"))).await.expect("it reads");
        assert_eq!(token.is_some(), !matches!(n, 1 | 6), "item {n}");
    }
}

/// Webhooks may come faster than they are looked at; those that come later are sealed with the new key.
#[tokio::test]
async fn webhooks_that_come_meanwhile_do_not_put_off_the_end() {
    let place = Place::new();
    let store = open(&place, KEY, &[]).expect("a new store");
    fill(&store).await;
    drop(store);
    let store = open(&place, NEW, &[KEY]).expect("both keys are there");
    for _ in 0..30 {
        if store.seal_anew(2, at(101)).await.expect("a step") == SealingAnew::Finished {
            return;
        }
        for _ in 0..2 {
            let webhook = store.seal_webhook(at(101), at(101), Age::Fresh, [1; 32], b"{}");
            store.append_webhook(webhook).await.expect("it is on disk");
        }
    }
    panic!("no end");
}

/// Link's own webhook names a Link token: the press is found, whichever key it is under.
#[tokio::test]
async fn a_press_is_found_by_its_token_before_and_after_its_turn() {
    let place = Place::new();
    let store = open(&place, KEY, &[]).expect("a new store");
    fill(&store).await;
    drop(store);
    let store = open(&place, NEW, &[KEY]).expect("both keys are there");
    let finish = async |number: usize| {
        let meaning = Meaning::Session { link_token: format!("link-sandbox-{number}"), event: Event::Suspected };
        let id = i64::try_from(number).expect("small") + 1;
        let verdict = Verdict { id, webhook_type: None, webhook_code: None, meaning };
        let rule = Arc::new(rule(&Policy::default(), at(150)));
        store.settle_webhooks(vec![verdict], rule).await.expect("settled");
        store.session(session(number)).await.expect("it opens").expect("it is there").finished
    };
    assert!(finish(0).await);
    to_the_end(&store).await;
    assert!(finish(1).await);
}

#[tokio::test]
async fn a_key_that_is_removed_too_early_is_asked_for_and_what_it_seals_is_named() {
    let place = Place::new();
    let store = open(&place, KEY, &[]).expect("a new store");
    fill(&store).await;
    drop(store);
    let refused = |key, old: &[[u8; 32]]| open(&place, key, old).err().expect("it does not open").to_string();
    let said = refused(NEW, &[]);
    assert!(
        said.contains("was sealed with another data_key: put the key back") && said.contains("if it is lost"),
        "{said}"
    );
    let store = open(&place, NEW, &[KEY]).expect("both keys are there");
    for _ in 0..6 {
        store.seal_anew(2, at(101)).await.expect("a step");
    }
    drop(store);
    let said = refused(NEW, &[]);
    let id = Sealer::new(&KEY, &[]).key_id();
    let expected =
        format!("with data key {id}, which is not configured, are still sealed: 5 Items, 7 sessions, 7 webhooks;");
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("put the key back, in [store] data_keys_old, until `relinkd keys status` says"), "{said}");
    // Back again to the former key, with the new one as the old one: nothing is lost on the way.
    let new = Sealer::new(&NEW, &[]).key_id();
    let said = refused(KEY, &[]);
    assert!(said.contains(&format!("with data key {new}")) && said.contains("7 users"), "{said}");
    let store = open(&place, KEY, &[NEW]).expect("both keys are there");
    to_the_end(&store).await;
    drop(store);
    let store = open(&place, KEY, &[]).expect("the other key is not needed");
    all_is_there(&store, &place.path(), &Sealer::new(&KEY, &[])).await;
}

#[tokio::test]
async fn links_survive_two_new_keys_and_an_old_key_forges_none_that_are_newer() {
    let place = Place::new();
    let store = open(&place, KEY, &[]).expect("a new store");
    let link = fill(&store).await;
    drop(store);
    for (key, old) in [(NEW, KEY), (NEWEST, NEW)] {
        let store = open(&place, key, &[old]).expect("both keys are there");
        to_the_end(&store).await;
    }
    let store = open(&place, NEWEST, &[]).expect("the others are not needed");
    assert_eq!(store.open_link(Purpose::Repair, &link, at(500)).await.expect("it reads"), Some(user(0)));
    let hour = 3600;
    let later = store.create_link(user(1), at(101 + hour)).await.expect("made");
    let genuine = store.link_token(Purpose::Repair, &later);
    assert_eq!(store.open_link(Purpose::Repair, &genuine, at(102 + hour)).await.expect("it reads"), Some(user(1)));
    for stolen in [KEY, NEW] {
        let forged = Sealer::new(&stolen, &[]).link_token("repair", &later);
        assert_eq!(store.open_link(Purpose::Repair, &forged, at(102 + hour)).await.expect("it reads"), None);
    }
}

/// A value that was damaged opens with no key, so no key is kept for it.
#[tokio::test]
async fn one_damaged_row_stops_nothing() {
    let place = Place::new();
    let store = open(&place, KEY, &[]).expect("a new store");
    fill(&store).await;
    drop(store);
    let raw = Connection::open(place.path()).expect("a database");
    let damage = "update items set access_token = substr(access_token, 1, 20) where item_id = 'item-3'";
    assert_eq!(raw.execute(damage, []).expect("SQL"), 1);
    drop(raw);
    let store = open(&place, NEW, &[KEY]).expect("both keys are there");
    to_the_end(&store).await;
    assert!(view(&store, &KEY).await.can_be_removed);
    drop(store);
    let store = open(&place, NEW, &[]).expect("the old key is not needed");
    assert!(store.access_token(item_id("item-3")).await.is_err());
    assert!(store.access_token(item_id("item-4")).await.expect("it opens").is_some());
}

#[tokio::test]
async fn a_configured_key_that_was_never_used_is_told_so() {
    let place = Place::new();
    let store = open(&place, KEY, &[NEW]).expect("a new store");
    let unused = view(&store, &NEW).await;
    assert!(unused.can_be_removed && unused.since.is_none(), "{unused:?}");
    let id: KeyId = unused.key_id;
    assert_eq!(id.to_string().len(), 8);
}

/// Whoever adds a sealed column has to have it sealed anew too.
#[test]
fn every_sealed_column_is_known() {
    let mut table = "";
    let mut sealed = Vec::new();
    for line in SCHEMA.lines() {
        if let Some(name) = line.strip_prefix("create table ") {
            table = name.trim_end_matches(" (");
        }
        if line.split_once("--").is_some_and(|(column, comment)| column.contains(" blob") && comment.contains("sealed"))
        {
            sealed.push(format!("{table}.{}", line.split_whitespace().next().expect("a name")));
        }
    }
    let known = [
        "data_keys.canary",
        "data_keys.heritage",
        "users.contact",
        "items.access_token",
        "inbox.body",
        "sessions.link_token",
        "sessions.hosted_url",
    ];
    assert_eq!(sealed, known, "src/store/sealing.rs seals these anew, and this test's `sealed_with` looks at them");
}
