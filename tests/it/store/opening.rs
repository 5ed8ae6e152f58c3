//! Which files are opened, which are refused, and that what is refused is not touched.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use relinkd::store::seal::Sealer;
use relinkd::store::{NewProfile, OpenError, SCHEMA, Store, VERSION};
use rusqlite::Connection;

use super::{KEY, Place, at};
use relinkd::domain::contact::EmailAddress;
use relinkd::domain::ids::UserId;

fn refused(path: &Path, sealer: Sealer) -> OpenError {
    match Store::open(path, sealer, at(0)) {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    }
}

fn schema(connection: &Connection) -> Vec<(String, String, Option<String>)> {
    let mut statement = connection
        .prepare("select type, name, sql from sqlite_schema where name not like 'sqlite_%' order by name")
        .expect("SQL");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

fn user() -> NewProfile {
    let email = EmailAddress::parse("user-1@example.com").expect("an address");
    NewProfile {
        id: UserId::parse("user-1").expect("an id"),
        email: Some(email),
        name: None,
        locale: None,
        time_zone: None,
    }
}

#[tokio::test]
async fn a_new_file_has_the_schema_its_marks_and_is_private() {
    let place = Place::new();
    place.open(at(0)).close().await;
    let file = Connection::open(place.path()).expect("a database");
    let number = |name: &str| -> i64 { file.query_row(&format!("pragma {name}"), [], |row| row.get(0)).expect("SQL") };
    assert_eq!((number("user_version"), number("application_id")), (VERSION, 0x726c_6b64));
    let model = Connection::open_in_memory().expect("a database");
    model.execute_batch(SCHEMA).expect("the schema");
    assert!(schema(&file) == schema(&model), "the file has another schema: {:?}", schema(&file));
    let loose: i64 = file
        .query_row("select count(*) from pragma_table_list where strict = 0 and name not like 'sqlite_%'", [], |row| {
            row.get(0)
        })
        .expect("SQL");
    assert_eq!(loose, 0, "every table is strict");
    let mode = std::fs::metadata(place.path()).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_store_opens_again_with_its_key_and_with_a_newer_one_beside_it() {
    let place = Place::new();
    let store = place.open(at(0));
    store.put_user(user(), at(0)).await.expect("written");
    store.close().await;
    drop(store);
    let other = [7; 32];
    for (sealer, opens) in [
        (Sealer::new(&other, &[]), false),
        (Sealer::new(&other, &[KEY]), true),
        (Sealer::new(&KEY, &[other]), true),
        (Sealer::new(&[9; 32], &[[8; 32]]), false),
    ] {
        if opens {
            let store = Store::open(&place.path(), sealer, at(1)).expect("it opens");
            let found = store.user(user().id).await.expect("it reads").expect("it is there");
            assert_eq!(found.email, user().email);
            store.close().await;
        } else {
            assert!(matches!(refused(&place.path(), sealer), OpenError::WrongKey { .. }));
        }
    }
}

/// Opens nothing, and leaves every byte of the file and of its log as it was.
fn is_refused_untouched(path: &Path) -> String {
    let log = path.with_extension("db-wal");
    let bytes = || (std::fs::read(path).expect("a file"), std::fs::read(&log).unwrap_or_default());
    let before = bytes();
    let error = refused(path, Sealer::new(&KEY, &[])).to_string();
    assert!(before == bytes(), "the file was changed: {error}");
    error
}

/// A store of the next version, made by hand: the threads of a real one would still write while the bytes are compared.
fn newer(path: &Path) -> Connection {
    let raw = Connection::open(path).expect("a database");
    let marks = format!("pragma application_id = {}; pragma user_version = {};", 0x726c_6b64, VERSION + 1);
    raw.execute_batch(&format!("pragma journal_mode = wal; {SCHEMA} {marks}")).expect("SQL");
    raw
}

#[test]
fn a_newer_store_is_refused_and_not_touched() {
    let place = Place::new();
    drop(newer(&place.path()));
    let said = is_refused_untouched(&place.path());
    assert!(said.contains("has schema 2, and this relinkd knows schemas up to 1: run the newer relinkd"), "{said}");
}

#[test]
fn a_newer_store_whose_log_was_left_is_refused_and_not_touched() {
    let (place, copy) = (Place::new(), Place::new());
    // A copy of a store in use is what a killed process leaves.
    let _in_use = newer(&place.path());
    for name in ["relinkd.db", "relinkd.db-wal"] {
        let done =
            std::process::Command::new("cp").arg(place.folder.path().join(name)).arg(copy.folder.path()).status();
        assert!(done.expect("cp is there").success());
    }
    let said = is_refused_untouched(&copy.path());
    assert!(said.contains("has schema 2"), "{said}");
}

#[test]
fn what_is_another_programs_is_refused_and_not_touched() {
    for journal in ["delete", "wal"] {
        let place = Place::new();
        let raw = Connection::open(place.path()).expect("a database");
        raw.execute_batch(&format!(
            "pragma journal_mode = {journal}; create table theirs (a); insert into theirs values (1);"
        ))
        .expect("SQL");
        drop(raw);
        let said = is_refused_untouched(&place.path());
        assert!(said.contains("is a database of another program"), "{journal}: {said}");
    }
    let place = Place::new();
    std::fs::write(place.path(), "dear diary, ".repeat(1000)).expect("written");
    let said = is_refused_untouched(&place.path());
    assert!(said.contains("file is not a database"), "{said}");
}

#[tokio::test]
async fn a_store_is_open_once() {
    let place = Place::new();
    let store = place.open(at(0));
    let error = refused(&place.path(), Sealer::new(&KEY, &[]));
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    store.put_user(user(), at(0)).await.expect("the first goes on");
    drop(store);
    place.open(at(1)).close().await;
}

#[test]
fn a_folder_that_is_not_there_is_said_so() {
    let place = Place::new();
    let error = refused(&place.folder.path().join("nowhere/relinkd.db"), Sealer::new(&KEY, &[])).to_string();
    assert!(error.contains("the folder must exist"), "{error}");
}

#[tokio::test]
async fn while_another_program_holds_the_file_a_write_waits_and_is_not_refused() {
    let place = Place::new();
    let store = place.open(at(0));
    let other = Connection::open(place.path()).expect("a database");
    other.execute_batch("begin immediate").expect("the lock");
    let release = tokio::task::spawn_blocking(move || {
        // Longer than the five seconds that rusqlite waits unasked.
        std::thread::sleep(std::time::Duration::from_secs(6));
        other.execute_batch("rollback").expect("released");
    });
    store.put_user(user(), at(0)).await.expect("written");
    release.await.expect("it ends");
    store.close().await;
}
