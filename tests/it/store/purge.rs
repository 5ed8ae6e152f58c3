//! Retention: what is old and not needed goes, in small steps; everything else stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use relinkd::domain::contact::EmailAddress;
use relinkd::domain::event::Event;
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::store::seal::Sealer;
use relinkd::store::{Age, Cutoffs, Meaning, NewProfile, Purge, Purpose, STRANGERS_MAX, SealingAnew, Store, Verdict};
use rusqlite::{Connection, named_params};
use tokio::task::JoinSet;

use super::inbox::broken;
use super::{KEY, Place, at, item_id, register};

const DAY: i64 = 24 * 60 * 60;

/// The moment of the purge: two years and more after the first things happened.
fn now() -> Timestamp {
    at(1000 * DAY)
}

fn ago(days: i64) -> i64 {
    now().as_millisecond() - days * DAY * 1000
}

fn cutoffs() -> Cutoffs {
    let before = |days: i64| now() - SignedDuration::from_secs(days * DAY);
    Cutoffs {
        bodies: before(30),
        webhooks: before(90),
        journal: before(90),
        letters: before(730),
        sessions: before(90),
        events: before(90),
        breaks: before(7),
    }
}

async fn purge(store: &Store, rows: u32) -> (u64, usize) {
    let mut purge = Purge::new(cutoffs());
    for steps in 1..100_000 {
        let (further, done) = store.purge(purge, rows).await.expect("a step");
        let deleted = further.deleted();
        purge = further;
        if done {
            return (deleted, steps);
        }
    }
    panic!("no end");
}

/// One column of what a query finds.
fn found(place: &Place, sql: &str) -> Vec<String> {
    let raw = Connection::open(place.path()).expect("a database");
    let mut statement = raw.prepare(sql).expect("SQL");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("texts")
}

fn write(place: &Place, sql: &str) {
    Connection::open(place.path()).expect("a database").execute_batch(sql).expect("SQL");
}

#[tokio::test]
async fn webhooks_lose_their_bodies_and_then_their_rows_but_what_waits_stays() {
    let place = Place::new();
    let store = place.open(at(0));
    let raw = Connection::open(place.path()).expect("a database");
    for (id, days, status) in [
        (1, 200, "applied"),
        (2, 200, "new"),
        (3, 100, "parked"),
        (4, 60, "parked"),
        (5, 60, "noted"),
        (6, 31, "applied"),
        (7, 29, "parked"),
        (8, 1, "applied"),
    ] {
        raw.execute(
            "insert into inbox (id, received_at, signed_at, age, body_sha256, body, status)
             values (:id, :at, :at, 'fresh', x'00', x'0011223344', :status)",
            named_params! { ":id": id, ":at": ago(days), ":status": status },
        )
        .expect("SQL");
    }
    for rows in [2, 3, 100] {
        purge(&store, rows).await;
        let all =
            found(&place, "select id || ' ' || status || case when body is null then '' else ' body' end from inbox");
        let left = ["2 new body", "4 noted", "5 noted", "6 applied", "7 parked body", "8 applied body"];
        assert_eq!(all, left, "{rows} rows a step");
    }
    assert_eq!(found(&place, "select note from inbox where id = 4"), ["the Item was not registered in time"]);
    // Everything old is gone, and still no number is given twice.
    write(&place, &format!("update inbox set status = 'applied', received_at = {}", ago(300)));
    purge(&store, 100).await;
    assert_eq!(found(&place, "select cast(id as text) from inbox"), ["8"]);
    drop(store);
    let store = place.open(now());
    let next = store.seal_webhook(now(), now(), Age::Fresh, [1; 32], b"{}");
    store.append_webhook(next).await.expect("it is on disk");
    assert_eq!(found(&place, "select cast(id as text) from inbox"), ["8", "9"]);
}

/// Writes rows that are some days old.
struct Past(Connection);

impl Past {
    fn episode(&self, item: &str, number: i64, opened: i64, closed: Option<i64>) {
        let sql = "insert into episodes (item_id, number, kind, opened_at, closed_at, outcome, rungs_passed, letters)
                   values (?1, ?2, 'new_accounts', ?3, ?4, iif(?4 is null, null, 'lapsed'), 1, 1)";
        self.0.execute(sql, (item, number, ago(opened), closed.map(ago))).expect("SQL");
    }

    fn step(&self, item: &str, days: i64) {
        let sql = "insert into journal (item_id, at, cause, event, state_before, state_after, effects)
                   values (?1, ?2, ?3, '\"Tick\"', 'healthy', 'healthy', '[]')";
        self.0.execute(sql, (item, ago(days), format!("{item} {days} days ago"))).expect("SQL");
    }

    fn letter(&self, number: i64, days: i64, item: &str, episode: i64) {
        let (id, link) = (format!("0000000{number}"), format!("link-{number}"));
        let sql = "insert into links (link_id, user_id, created_at, expires_at) values (?1, 'user-1', ?2, ?3)";
        self.0.execute(sql, (&link, ago(days), ago(days - 30))).expect("SQL");
        let sql = "insert into letters (letter_id, user_id, composed_at, status, reminder, link_id, settled_at)
                   values (?1, 'user-1', ?2, 'accepted', 1, ?3, ?2)";
        self.0.execute(sql, (&id, ago(days), &link)).expect("SQL");
        let sql = "insert into letter_lines (letter_id, item_id, episode, topic, kind, rung)
                   values (?1, ?2, ?3, 'reminder', 'new_accounts', 0)";
        self.0.execute(sql, (&id, item, episode)).expect("SQL");
    }
}

/// An old letter about an old episode, one about an open one, and steps around all of them.
#[tokio::test]
async fn a_letter_goes_with_what_explains_it_and_an_open_episode_keeps_both() {
    let place = Place::new();
    let store = place.open(at(0));
    for item in ["item-1", "item-2", "item-3"] {
        register(&store, item, "user-1", at(0)).await;
    }
    write(&place, "delete from journal; delete from episodes");
    let past = Past(Connection::open(place.path()).expect("a database"));
    // Closed before the letters' time; open since then; closed lately, with a letter of this year.
    past.episode("item-1", 1, 900, Some(880));
    past.episode("item-1", 2, 870, Some(860));
    past.episode("item-2", 1, 800, None);
    past.episode("item-3", 1, 300, Some(280));
    past.letter(1, 890, "item-1", 1);
    past.letter(2, 790, "item-2", 1);
    past.letter(3, 290, "item-3", 1);
    for (item, days) in [
        ("item-1", 900),
        ("item-1", 885),
        ("item-1", 100),
        ("item-2", 800),
        ("item-2", 100),
        ("item-3", 400),
        ("item-3", 290),
        ("item-3", 279),
        ("item-3", 200),
        ("item-3", 80),
        ("item-3", 1),
    ] {
        past.step(item, days);
    }
    // A purge meets the steps before the letter that keeps them, so what a letter kept goes with the next one.
    for rows in [2, 100] {
        purge(&store, rows).await;
    }
    assert_eq!(found(&place, "select letter_id from letters"), ["00000002", "00000003"]);
    assert_eq!(found(&place, "select letter_id from letter_lines"), ["00000002", "00000003"]);
    assert_eq!(found(&place, "select link_id from links"), ["link-2", "link-3"]);
    let episodes = "select item_id || ' ' || number from episodes";
    assert_eq!(found(&place, episodes), ["item-1 2", "item-2 1", "item-3 1"], "the latest of a kind stays");
    let kept = [
        "item-2 800 days ago",
        "item-2 100 days ago",
        "item-3 290 days ago",
        "item-3 279 days ago",
        "item-3 80 days ago",
        "item-3 1 days ago",
    ];
    assert_eq!(found(&place, "select cause from journal order by id"), kept);
    let sound: Vec<String> = found(&place, "select \"table\" from pragma_foreign_key_check");
    assert_eq!(sound, [""; 0]);
}

#[tokio::test]
async fn a_link_that_works_and_a_letter_on_its_way_stay() {
    let place = Place::new();
    let store = place.open(at(0));
    register(&store, "item-1", "user-1", at(0)).await;
    let user = relinkd::domain::ids::UserId::parse("user-1").expect("an id");
    let fresh = store.create_link(user.clone(), now()).await.expect("made");
    let old = store.create_link(user.clone(), at(0)).await.expect("made");
    let waits = store.create_link(user, at(0)).await.expect("made");
    write(
        &place,
        &format!(
            "insert into letters (letter_id, user_id, composed_at, status, reminder, link_id, due_at)
             values ('00000001', 'user-1', {0}, 'deferred', 1, '{waits}', {0})",
            ago(900)
        ),
    );
    purge(&store, 10).await;
    let mut expected = vec![fresh, waits];
    expected.sort();
    assert_eq!(found(&place, "select link_id from links order by link_id"), expected, "not {old}");
    assert_eq!(found(&place, "select letter_id from letters"), ["00000001"]);
    let token = store.link_token(Purpose::Repair, &expected[0]);
    drop(store.open_link(Purpose::Repair, &token, now()).await.expect("it reads"));
}

/// Of an erased user nothing is left but that the address takes no letters, and only the key of that time finds it.
#[tokio::test]
async fn a_former_key_is_forgotten_once_no_suppression_needs_it() {
    let (place, new) = (Place::new(), [7; 32]);
    drop(place.open(at(0)));
    let open = |old: &[[u8; 32]]| Store::open(&place.path(), Sealer::new(&new, old), at(100)).expect("it opens");
    let hmac = Sealer::new(&KEY, &[]).lookup("address", "user@example.com");
    let raw = Connection::open(place.path()).expect("a database");
    let sql = "insert into suppressions (address_hmac, reason, source, since) values (?1, 'complaint', 'report', ?2)";
    raw.execute(sql, (&hmac, at(50).as_millisecond())).expect("SQL");
    let store = open(&[KEY]);
    while store.seal_anew(100, at(200)).await.expect("a step") != SealingAnew::Nothing {}
    drop(store);
    let suppressed = async || {
        let store = open(&[]);
        let user = relinkd::domain::ids::UserId::parse("user-1").expect("an id");
        let email = EmailAddress::parse("user@example.com").expect("an address");
        let profile = NewProfile { id: user.clone(), email: Some(email), name: None, locale: None, time_zone: None };
        store.put_user(profile, at(300)).await.expect("written");
        let found = store.user(user).await.expect("it reads").expect("it is there").suppressed_at;
        purge(&store, 100).await;
        found.is_some()
    };
    // Written again, it is found by the present key; so have it as it was.
    let as_it_was = || raw.execute("update suppressions set address_hmac = ?1", [&hmac]).expect("SQL");
    for _ in 0..2 {
        assert!(suppressed().await);
        assert_eq!(as_it_was(), 1);
        assert_eq!(found(&place, "select hex(key_id) from data_keys").len(), 2);
    }
    raw.execute("delete from suppressions", []).expect("SQL");
    assert!(!suppressed().await);
    assert_eq!(found(&place, "select hex(key_id) from data_keys").len(), 1);
}

#[tokio::test]
async fn webhooks_of_strangers_do_not_fill_the_disk() {
    let place = Place::new();
    let store = place.open(at(0));
    register(&store, "item-1", "user-1", at(0)).await;
    let many = STRANGERS_MAX + 3000;
    write(
        &place,
        &format!(
            "with recursive n(id) as (select 1 union all select id + 1 from n where id < {many})
             insert into inbox (id, received_at, signed_at, age, body_sha256, body, status, ours)
             select id, 0, 0, 'fresh', x'00', x'00', 'noted', 0 from n"
        ),
    );
    drop(store);
    let store = place.open(at(1));
    let count =
        |status: &str| found(&place, &format!("select cast(count(*) as text) from inbox where {status}"))[0].clone();
    for round in 0..8 {
        let mut verdicts = Vec::new();
        for n in 0..500 {
            let webhook = store.seal_webhook(at(1), at(1), Age::Fresh, [1; 32], b"{}");
            store.append_webhook(webhook).await.expect("it is on disk");
            let id = many + round * 500 + n + 1;
            // Every other one names an Item of ours.
            let item = item_id(if n % 2 == 0 { "item-1" } else { "stranger" });
            let meaning = Meaning::Nothing { item: Some(item), note: "says nothing" };
            verdicts.push(Verdict { id, webhook_type: None, webhook_code: None, meaning });
        }
        store.settle_webhooks(verdicts, Arc::new(rule(&Policy::default(), at(1)))).await.expect("settled");
    }
    let left: i64 = count("ours = 0").parse().expect("a number");
    assert!((STRANGERS_MAX - 2000..=STRANGERS_MAX + 1000).contains(&left), "{left}");
    assert_eq!(count("ours = 1"), "2000", "those of our own Items stay");
    let dropped = store.backlog().await.expect("it reads").dropped;
    assert_eq!(i64::try_from(dropped).expect("small"), many + 2000 - left);
    let oldest: i64 = found(&place, "select cast(min(id) as text) from inbox")[0].parse().expect("a number");
    assert!(oldest > many - STRANGERS_MAX, "the oldest went first");
}

/// How long webhooks take, and how many steps of a purge end between asking and answer; one after the other, as long as
/// `more` says.
async fn webhooks(store: &Store, steps: &AtomicUsize, mut more: impl FnMut(usize) -> bool) -> Vec<(usize, Duration)> {
    let mut took = Vec::new();
    while more(took.len()) {
        let webhook = store.seal_webhook(now(), now(), Age::Fresh, [1; 32], &[b'x'; 1000]);
        let (began, before) = (Instant::now(), steps.load(Ordering::SeqCst));
        store.append_webhook(webhook).await.expect("it is on disk");
        took.push((steps.load(Ordering::SeqCst) - before, began.elapsed()));
        // Not the writer's every moment, or there would be no purge to measure with.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    took
}

/// The median, the 99th percentile, and the most.
fn spread<T: Ord + Copy>(values: impl Iterator<Item = T>) -> (T, T, T) {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort();
    (sorted[sorted.len() / 2], sorted[sorted.len() * 99 / 100], sorted[sorted.len() - 1])
}

/// How many rows a step looks at, as in `engine::upkeep`.
const STEP: u32 = 200;

/// `TEST_PURGE_ROWS` asks for more old rows than the usual 20,000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_go_first_while_old_rows_are_purged() {
    let asked = std::env::var_os("TEST_PURGE_ROWS").and_then(|value| value.to_str()?.parse().ok());
    let rows: u64 = asked.unwrap_or(20_000);
    let place = Place::new();
    let store = place.open(at(0));
    register(&store, "item-1", "user-1", at(0)).await;
    store
        .step(
            item_id("item-1"),
            vec![broken(), Event::LoginRepaired],
            "test".to_owned(),
            rule(&Policy::default(), at(1)),
        )
        .await
        .expect("steps");
    drop(store);
    write(
        &place,
        &format!(
            "with recursive n(id) as (select 1 union all select id + 1 from n where id < {rows})
             insert into inbox (id, received_at, signed_at, age, body_sha256, body, status)
             select id, {0}, {0}, 'fresh', randomblob(32), randomblob(1000), 'applied' from n",
            ago(400)
        ),
    );
    let store = place.open(now());
    let steps = Arc::new(AtomicUsize::new(0));
    let calm = webhooks(&store, &steps, |count| count < 500).await;
    let (other, count) = (store.clone(), Arc::clone(&steps));
    let mut purging = JoinSet::new();
    purging.spawn(async move {
        let (mut purge, began) = (Purge::new(cutoffs()), Instant::now());
        loop {
            let before = purge.deleted();
            let (further, done) = other.purge(purge, STEP).await.expect("a step");
            count.fetch_add(1, Ordering::SeqCst);
            purge = further;
            // What a step does is what a webhook waits for: never the whole table.
            assert!(purge.deleted() - before <= u64::from(STEP), "{} rows in one step", purge.deleted() - before);
            if done {
                return (purge.deleted(), began.elapsed());
            }
            // As `engine::upkeep` does.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut ended = None;
    let busy = webhooks(&store, &steps, |_| {
        ended = purging.try_join_next();
        ended.is_none()
    })
    .await;
    let (deleted, took) = ended.expect("it ended").expect("no panic");
    // Each old webhook loses its body, and then its row.
    assert!(deleted >= 2 * rows, "{deleted}");
    assert_eq!(
        found(&place, &format!("select cast(count(*) as text) from inbox where received_at < {}", ago(90))),
        ["0"]
    );
    let (steps, of_each) = (steps.load(Ordering::SeqCst), spread(busy.iter().map(|(steps, _)| *steps)));
    let times = |of: &[(usize, Duration)]| spread(of.iter().map(|(_, took)| *took));
    crate::process::say(&format!(
        "{} webhooks while {rows} old ones are purged in {steps} steps and {took:?}; median, 99th percentile and most: \
         steps between asking and answer {of_each:?}, times {:?} against {:?} without",
        busy.len(),
        times(&busy),
        times(&calm)
    ));
    assert!(steps as u64 >= 2 * rows / u64::from(STEP) && busy.len() >= 20, "both go on: {steps}, {}", busy.len());
    // The step that is under way when a webhook comes, and the one before, whose end is counted late. More are seen by
    // one that gets no turn on a busy machine to look at its answer, but not by most.
    assert!(of_each.0 <= 2, "{of_each:?}");
    // No step is a long one, such as a look at the whole table: that would be seen by most.
    let (without, with) = (times(&calm).0, times(&busy).0);
    assert!(with < without * 20 + Duration::from_millis(100), "{with:?} against {without:?}");
}
