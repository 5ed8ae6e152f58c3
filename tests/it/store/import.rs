//! Import: compared row by row, written once, in operations of bounded size, and nothing asked.

use relinkd::domain::compose::Channel;
use relinkd::domain::contact::{EmailAddress, Locale, PersonName, ZoneName};
use relinkd::domain::event::Event;
use relinkd::domain::ids::{Institution, InstitutionId, UserId};
use relinkd::domain::item::{Hold, Item, RemovalReason, Token};
use relinkd::domain::policy::Policy;
use relinkd::engine::apply::rule;
use relinkd::store::{IMPORT_ROWS_MAX, Imported, Mode, NewItem, NewProfile, NewUser, Rule, Store, StoreError};
use secrecy::ExposeSecret as _;

use super::{Place, at, item_id, register};

fn row(number: usize) -> NewItem {
    let bank = InstitutionId::parse(format!("ins_{}", number % 3)).expect("an id");
    NewItem {
        id: item_id(&format!("item-{number}")),
        user: UserId::parse(format!("user-{}", number % 50)).expect("an id"),
        access_token: format!("access-sandbox-{number}"),
        institution: Some(Institution { id: bank, name: Some("Example Bank".to_owned()) }),
        country_codes: number.is_multiple_of(2).then(|| vec!["GB".to_owned()]),
    }
}

fn rows(count: usize) -> Vec<NewItem> {
    (0..count).map(row).collect()
}

fn as_of(second: i64) -> Rule {
    rule(&Policy::default(), at(second))
}

async fn import(store: &Store, rows: Vec<NewItem>, second: i64) -> Vec<Imported> {
    store.import_items(rows, Mode::Write, as_of(second)).await.expect("it is imported")
}

async fn item(store: &Store, id: &str) -> Item {
    store.item(item_id(id)).await.expect("it reads").expect("it is there").item
}

/// All rows of a table, as SQLite shows them.
fn dump(place: &Place, table: &str) -> Vec<String> {
    let file = rusqlite::Connection::open(place.path()).expect("the store is there");
    let mut statement = file.prepare(&format!("select * from {table}")).expect("a table");
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cells = (0..width).map(|at| format!("{:?}", row.get_ref(at).expect("a cell")));
        Ok(cells.collect::<Vec<_>>().join(" "))
    });
    let rows = rows.expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

#[tokio::test]
async fn many_items_are_registered_held_and_asked_about_by_nobody() {
    let place = Place::new();
    let store = place.open(at(0));
    let count = 2 * IMPORT_ROWS_MAX + 7;
    assert_eq!(import(&store, rows(count), 0).await, vec![Imported::New; count]);
    for number in [0, IMPORT_ROWS_MAX, count - 1] {
        let record = store.item(row(number).id).await.expect("it reads").expect("it is there");
        assert_eq!((record.item.user, record.item.institution), (row(number).user, row(number).institution));
        assert_eq!((record.item.token, record.item.hold), (Token::Unproven, Hold::Held { since: at(0) }));
        assert_eq!(record.country_codes, row(number).country_codes);
        let token = store.access_token(row(number).id).await.expect("it opens").expect("it is there");
        assert_eq!(token.expose_secret(), row(number).access_token);
        let journal = store.journal(row(number).id, 0, 10).await.expect("it reads");
        assert_eq!(journal.iter().map(|row| row.cause.as_str()).collect::<Vec<_>>(), ["import"]);
    }
    assert_eq!(store.agenda(Channel::Mail).await.expect("it reads").next(), None, "no effect, no tick, no letter");
}

#[tokio::test]
async fn what_says_the_same_writes_nothing() {
    let place = Place::new();
    let store = place.open(at(0));
    import(&store, rows(300), 0).await;
    let all = || ["items", "users", "journal", "outbox"].map(|table| dump(&place, table));
    let before = all();
    assert_eq!(import(&store, rows(300), 60).await, vec![Imported::Same; 300]);
    let without_names: Vec<NewItem> =
        rows(300).into_iter().map(|row| NewItem { institution: None, country_codes: None, ..row }).collect();
    assert_eq!(import(&store, without_names, 70).await, vec![Imported::Same; 300], "what is not said is not changed");
    assert_eq!(all(), before);
}

#[tokio::test]
async fn a_dry_run_tells_and_writes_nothing() {
    let place = Place::new();
    let store = place.open(at(0));
    import(&store, rows(2), 0).await;
    let before = dump(&place, "items");
    let changed = NewItem { access_token: "access-sandbox-other".to_owned(), ..row(1) };
    let told = store.import_items(vec![row(0), changed, row(2)], Mode::DryRun, as_of(1)).await.expect("it compares");
    assert_eq!(told, [Imported::Same, Imported::Changed, Imported::New]);
    assert_eq!(dump(&place, "items"), before);
}

#[tokio::test]
async fn a_change_of_token_owner_bank_or_country_is_written() {
    let place = Place::new();
    let store = place.open(at(0));
    import(&store, rows(4), 0).await;
    let user = UserId::parse("user-other").expect("an id");
    let bank = Institution { id: InstitutionId::parse("ins_other").expect("an id"), name: None };
    let changed = vec![
        NewItem { access_token: "access-sandbox-other".to_owned(), ..row(0) },
        NewItem { user: user.clone(), ..row(1) },
        NewItem { institution: Some(bank.clone()), ..row(2) },
        NewItem { country_codes: Some(vec!["IE".to_owned()]), ..row(3) },
    ];
    assert_eq!(import(&store, changed.clone(), 5).await, vec![Imported::Changed; 4]);
    assert_eq!(import(&store, changed, 6).await, vec![Imported::Same; 4]);
    let token = store.access_token(row(0).id).await.expect("it opens").expect("it is there");
    assert_eq!(token.expose_secret(), "access-sandbox-other");
    assert_eq!(item(&store, "item-1").await.user, user);
    assert_eq!(item(&store, "item-2").await.institution, Some(bank));
    let record = store.item(item_id("item-3")).await.expect("it reads").expect("it is there");
    assert_eq!(record.country_codes, Some(vec!["IE".to_owned()]));
    assert_eq!(record.item.registered_at, at(0), "the countries are no new registration");
    assert_eq!(item(&store, "item-0").await.registered_at, at(5));
}

#[tokio::test]
async fn what_the_application_registered_is_not_held_by_a_later_import() {
    let place = Place::new();
    let store = place.open(at(0));
    register(&store, "item-0", "user-0", at(0)).await;
    assert_eq!(
        import(&store, vec![NewItem { access_token: "access-sandbox-item-0".to_owned(), ..row(0) }], 1).await,
        [Imported::Changed]
    );
    let same = NewItem { access_token: "access-sandbox-item-0".to_owned(), institution: None, ..row(0) };
    assert_eq!(import(&store, vec![same], 2).await, [Imported::Same]);
}

#[tokio::test]
async fn what_was_removed_or_erased_is_left_alone() {
    let place = Place::new();
    let store = place.open(at(0));
    import(&store, rows(3), 0).await;
    for (id, why) in [("item-0", RemovalReason::Application), ("item-1", RemovalReason::UnknownToPlaid)] {
        store.step(item_id(id), vec![Event::Removed { why }], "api".to_owned(), as_of(1)).await.expect("a step");
    }
    let outcomes = import(&store, rows(3), 2).await;
    insta::assert_debug_snapshot!(outcomes, @r#"
    [
        Skipped {
            why: "was removed here; if it is back, register it alone: PUT /v1/items/{item_id}",
        },
        Skipped {
            why: "is unknown to Plaid since it was registered; if it is back, register it alone: PUT /v1/items/{item_id}",
        },
        Same,
    ]
    "#);
    assert!(store.access_token(item_id("item-0")).await.expect("it reads").is_none());
    store.import_users(vec![profile("user-9", "user-9@example.com")], Mode::Write, at(3)).await.expect("imported");
    store.erase_user(UserId::parse("user-9").expect("an id"), as_of(4)).await.expect("erased");
    let outcomes = store.import_users(vec![profile("user-9", "user-9@example.com")], Mode::Write, at(5)).await;
    insta::assert_debug_snapshot!(outcomes.expect("compared"), @r#"
    [
        Skipped {
            why: "was erased here; if it is back, register it alone: PUT /v1/users/{user_id}",
        },
    ]
    "#);
}

#[tokio::test]
async fn a_row_that_does_not_read_back_is_left_and_the_others_are_imported() {
    let place = Place::new();
    let store = place.open(at(0));
    import(&store, rows(1), 0).await;
    let file = rusqlite::Connection::open(place.path()).expect("the store is there");
    file.execute("update items set since = 9223372036854775807 where item_id = 'item-0'", []).expect("broken");
    let outcomes = import(&store, rows(300), 1).await;
    assert!(matches!(&outcomes[0], Imported::Skipped { why } if why.contains("since")), "{:?}", outcomes[0]);
    assert_eq!(outcomes[1..], vec![Imported::New; 299]);
}

#[tokio::test]
async fn an_error_of_the_disk_is_no_answer() {
    let place = Place::new();
    let store = place.open(at(0));
    store.close().await;
    let file = rusqlite::Connection::open(place.path()).expect("the store is there");
    file.execute_batch("begin exclusive").expect("somebody else writes");
    let refused = store.import_items(rows(3), Mode::Write, as_of(1)).await;
    assert!(matches!(refused, Err(StoreError::Sqlite(_))), "{refused:?}");
    file.execute_batch("rollback").expect("and stops");
    assert_eq!(import(&store, rows(3), 2).await, vec![Imported::New; 3]);
}

fn profile(id: &str, email: &str) -> NewUser {
    let profile = NewProfile {
        id: UserId::parse(id).expect("an id"),
        email: Some(EmailAddress::parse(email).expect("an address")),
        name: PersonName::parse("Ann Example"),
        locale: Some(Locale::parse("de").expect("a locale")),
        time_zone: Some(ZoneName::parse("Europe/Berlin").expect("a zone")),
    };
    NewUser { profile, stopped_at: None, suppressed_at: None, snoozed_until: None }
}

#[tokio::test]
async fn wishes_come_along_and_none_is_taken_back() {
    let place = Place::new();
    let store = place.open(at(0));
    let put = async |row: NewUser| {
        let outcomes = store.import_users(vec![row], Mode::Write, at(50)).await.expect("imported");
        let user = store.user(UserId::parse("user-1").expect("an id")).await.expect("it reads").expect("it is there");
        (outcomes[0].clone(), user.stopped_at, user.suppressed_at, user.snoozed_until)
    };
    let none = profile("user-1", "user-1@example.com");
    let stopped = NewUser { stopped_at: Some(at(-9)), snoozed_until: Some(at(90)), ..none.clone() };
    assert_eq!(put(none.clone()).await, (Imported::New, None, None, None));
    assert_eq!(put(stopped.clone()).await, (Imported::Changed, Some(at(-9)), None, Some(at(90))));
    assert_eq!(put(stopped).await, (Imported::Same, Some(at(-9)), None, Some(at(90))));
    assert_eq!(put(none.clone()).await, (Imported::Same, Some(at(-9)), None, Some(at(90))));
    let more = NewUser { suppressed_at: Some(at(1)), snoozed_until: Some(at(99)), stopped_at: Some(at(5)), ..none };
    assert_eq!(put(more).await, (Imported::Changed, Some(at(-9)), Some(at(1)), Some(at(99))));
}

#[tokio::test]
async fn users_are_compared_too_and_looked_at_only_if_they_may_hear_something() {
    let place = Place::new();
    let store = place.open(at(0));
    import(&store, rows(1), 0).await;
    register(&store, "item-known", "user-1", at(0)).await;
    let users = || (0..3).map(|number| profile(&format!("user-{number}"), "user@example.com")).collect::<Vec<_>>();
    let put = async |rows, second| store.import_users(rows, Mode::Write, at(second)).await.expect("imported");
    assert_eq!(put(users(), 1).await, [Imported::Changed, Imported::Changed, Imported::New]);
    let due = store.due_users(at(2), 10).await.expect("it reads");
    assert_eq!(
        due.iter().map(UserId::as_str).collect::<Vec<_>>(),
        ["user-1"],
        "the others own nothing, or what is held"
    );
    let before = dump(&place, "users");
    assert_eq!(put(users(), 3).await, vec![Imported::Same; 3]);
    assert_eq!(dump(&place, "users"), before);
    assert_eq!(put(vec![profile("user-2", "other@example.com")], 4).await, [Imported::Changed]);
}
