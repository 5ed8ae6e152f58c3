//! `import` and `export`: faults with their lines, a dry run, going on after a break, and no token on its way out.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::harness::{Settings, World};
use crate::process::{BINARY, LIMIT};

const TOKEN: &str = "access-sandbox-canary";

fn file(world: &World, name: &str, text: &str) -> PathBuf {
    let path = world.store_path().with_file_name(name);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    path
}

fn path(path: &std::path::Path) -> &str {
    path.to_str().expect("a text")
}

/// So many Items, from line 2 on.
fn many_items(count: u32) -> String {
    let row = |number| format!("item-{number},user-{number},{TOKEN}-{number}\n");
    format!("item_id,user_id,access_token\n{}", (0..count).map(row).collect::<String>())
}

/// So many users, from line 2 on. Nobody has to ask Plaid about them.
fn many_users(count: u32) -> String {
    let row = |number| format!("user-{number},user-{number}@example.com\n");
    format!("user_id,email\n{}", (0..count).map(row).collect::<String>())
}

async fn count(world: &World, list: &str) -> usize {
    world.relinkd(&[list, "list", "--json"]).await.json().len()
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_an_import_does_it_once() {
    let world = World::new().await;
    let text = format!(
        "item_id,user_id,access_token,institution_id,institution_name,country_codes\n\
         item-1,user-1,{TOKEN}-1,ins_1,\"Bank, of examples\",US GB\n\
         item-2,user@example.com,{TOKEN}-2,,,\n\
         item-3,user-3,{TOKEN}-3\n\
         item-4,user-4,{TOKEN} 4,,,\n\
         item-5,user-5,{TOKEN}-5,,,USA\n\
         item-6,user-6,{TOKEN}-6,ins_1,,\n"
    );
    let good = text.lines().enumerate().filter(|(line, _)| [0, 1, 6].contains(line));
    let good: String = good.map(|(_, line)| format!("{line}\n")).collect();
    let (faulty, good) = (file(&world, "faulty.csv", &text), file(&world, "good.csv", &good));
    let mut said = String::new();
    for words in [["items", "import", path(&faulty), "--dry-run"], ["items", "import", path(&good), "--format=csv"]] {
        said += &format!("$ {}\n{}\n\n", words[3], world.relinkd(&words).await.whole());
    }
    let again = world.relinkd(&["items", "import", path(&good), "--json"]).await;
    said += &format!("$ again, --json\n{}\n", again.whole());
    assert!(!said.contains(TOKEN), "{said}");
    insta::assert_snapshot!(said, @r#"
    $ --dry-run
    Nothing is written. It would be: 6 rows: 2 new, 0 changed, 0 the same, 0 left alone, 4 wrong.
    --- stderr
    FOLDER/faulty.csv:3: user_id holds an @: Plaid refuses addresses as client_user_id, and logs would show them
    FOLDER/faulty.csv:4: has 3 fields, and the header 6: a field with a comma stands in double quotes
    FOLDER/faulty.csv:5: access_token is empty, too long or holds a space
    FOLDER/faulty.csv:6: country_codes holds one that Plaid does not serve: two capital letters such as "US"
    relinkd: 4 rows are wrong or left alone; the lines above say why
    --- exit code 1

    $ --format=csv
    2 rows: 2 new, 0 changed, 0 the same, 0 left alone, 0 wrong.
    The new Items are held: Plaid is asked about them little by little, and letters about what is broken wait for `relinkd letters release`.
    --- exit code 0

    $ again, --json
    {"dry_run":false,"rows":2,"new":0,"changed":0,"same":2,"skipped":0,"wrong":0}
    --- exit code 0
    "#);
    assert_eq!(count(&world, "items").await, 2);
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_imported_says_why_before_anything_is_sent() {
    let world = World::new().await;
    let misspelt = file(&world, "misspelt.csv", "item_id,user_id,acess_token\n");
    let open = file(&world, "open.jsonl", "");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).expect("its mode");
    let mut said = String::new();
    for words in [
        ["items", "import", path(&misspelt)],
        ["items", "import", "/nowhere/items.csv"],
        ["users", "import", "users.txt"],
        ["users", "import", path(&open)],
    ] {
        said += &format!("{}\n\n", world.relinkd(&words).await.whole());
    }
    insta::assert_snapshot!(said, @"
    --- stderr
    relinkd: FOLDER/misspelt.csv:1: column 3 of the header is none of item_id, user_id, access_token, institution_id, institution_name, country_codes; the nearest is access_token
    --- exit code 1

    --- stderr
    relinkd: /nowhere/items.csv cannot be read: No such file or directory (os error 2)
    --- exit code 1

    --- stderr
    relinkd: users.txt has no ending that tells its format: --format csv or jsonl
    --- exit code 2

    0 rows: 0 new, 0 changed, 0 the same, 0 left alone, 0 wrong.
    --- stderr
    FOLDER/open.jsonl holds addresses, and others may read it: chmod 600, and delete it when it is imported.
    --- exit code 0
    ");
    world.end().await;
}

#[tokio::test]
async fn an_import_that_breaks_off_says_where_to_go_on() {
    let mut world = World::new().await;
    let csv = file(&world, "users.csv", &many_users(2500));
    world.relinkd(&["users", "import", path(&csv), "--from-line", "2302"]).await.well();
    assert_eq!(count(&world, "users").await, 200);
    let said = world.relinkd(&["users", "import", path(&csv)]).await.well();
    assert!(said.starts_with("2500 rows: 2300 new, 0 changed, 200 the same"), "{said}");
    world.stop().await;
    let dead = world.relinkd(&["users", "import", path(&csv), "--from-line", "7"]).await;
    insta::assert_snapshot!(dead.whole(), @"
    --- stderr
    relinkd: no daemon answers at FOLDER/control.sock. Start it (`relinkd serve`, or `systemctl start relinkd`), or name its socket: --socket PATH, or --config FILE with the configuration that it runs with.
    --- exit code 1
    ");
    world.start().await;
    world.end().await;
}

#[tokio::test]
async fn a_signal_stops_an_import_between_two_parts() {
    let world = World::new().await;
    let config = world.config_file();
    let words = ["users", "import", "-", "--format", "csv", "--config", path(&config)];
    let mut command = Command::new(BINARY);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut running = command.spawn().expect("the binary starts");
    let mut input = running.stdin.take().expect("a pipe");
    // One part is whole, the second is not, and the pipe stays open.
    input.write_all(many_users(1001).as_bytes()).await.expect("written");
    let end = std::time::Instant::now() + LIMIT;
    while world.get("/v1/users/user-999").await.0 != 200 {
        assert!(std::time::Instant::now() < end, "the first part is not imported");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let id = running.id().expect("it runs").to_string();
    Command::new("kill").args(["-INT", &id]).status().await.expect("a signal");
    let output = tokio::time::timeout(LIMIT, running.wait_with_output()).await.expect("it ends").expect("an output");
    drop(input);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("relinkd: stopped\n"), "{said}");
    // The part may be on disk while its answer is on its way: then nothing is claimed.
    assert!(said.contains("Go on with --from-line 1002;") || !said.contains("--from-line"), "{said}");
    world.end().await;
}

#[tokio::test]
async fn users_go_out_and_come_back_as_they_were() {
    let world = World::new().await;
    let text = "user_id,email,name,locale,time_zone,stopped_at,suppressed_at,snoozed_until\n\
        user-1,user-1@example.com,\"A. \"\"Quoted\"\", User\",de,Europe/Berlin,,,\n\
        user-2,user-2@example.com,,,,2026-01-02T03:04:05Z,,\n\
        user-3,user-3@example.com,Zo\u{eb},fr-CA,,,2026-01-02T03:04:05Z,2099-01-02T03:04:05Z\n";
    let first = file(&world, "users.csv", text);
    world.relinkd(&["users", "import", path(&first)]).await.well();
    for name in ["out.csv", "out.jsonl"] {
        let out = world.store_path().with_file_name(name);
        let said = world.relinkd(&["users", "export", path(&out)]).await;
        insta::allow_duplicates! { insta::assert_snapshot!(said.whole().replace(name, "FILE"), @"
        --- stderr
        3 rows.
        FOLDER/FILE holds addresses; only you may read it (mode 0600).
        --- exit code 0
        "); }
        assert_eq!(std::fs::metadata(&out).expect("it is there").permissions().mode() & 0o777, 0o600);
        let other = World::new().await;
        other.relinkd(&["users", "import", path(&out)]).await.well();
        let back = other.relinkd(&["users", "export"]).await.well();
        assert_eq!(back, world.relinkd(&["users", "export"]).await.well());
        assert_eq!(back, text);
        let there = world.relinkd(&["users", "export", path(&out)]).await;
        assert_eq!(there.code, 1, "a file that is there is not written over");
        other.end().await;
    }
    world.end().await;
}

#[tokio::test]
async fn users_without_an_address_go_out_where_none_is_needed() {
    let by_event = || Settings { mail: "delivery = \"event\"".to_owned(), ..Settings::default() };
    let (world, other) = (World::with(by_event()).await, World::with(by_event()).await);
    let text = "user_id,email,name,locale,time_zone,stopped_at,suppressed_at,snoozed_until\n\
        user-1,,,de,Europe/Berlin,,,\n\
        user-2,,,,,2026-01-02T03:04:05Z,,\n";
    let file = file(&world, "users.csv", text);
    world.relinkd(&["users", "import", path(&file)]).await.well();
    assert_eq!(world.relinkd(&["users", "export"]).await.well(), text);
    assert_eq!(world.get("/v1/users/user-1").await.1["silence"], Value::Null);
    assert_eq!(world.get("/v1/users/user-2").await.1["silence"], "stopped");
    other.relinkd(&["users", "import", path(&file)]).await.well();
    assert_eq!(other.relinkd(&["users", "export"]).await.well(), text);
    for world in [world, other] {
        world.end().await;
    }
}

#[tokio::test]
async fn items_go_out_without_their_tokens() {
    let world = World::new().await;
    let csv = file(&world, "items.csv", &many_items(60));
    world.relinkd(&["items", "import", path(&csv)]).await.well();
    let said = world.relinkd(&["items", "export"]).await;
    assert_eq!(said.stdout.lines().count(), 61);
    insta::assert_snapshot!(format!("{}\n{}", said.stdout.lines().next().expect("a header"), said.stderr), @"
    item_id,user_id,institution_id,institution_name,state,since,token,consent_expires_at,observed_at,superseded_by,snoozed_until,held_since
    60 rows.
    Access tokens are not exported: they leave the store only towards Plaid. `relinkd backup` takes all, sealed.
    ");
    let lines = world.relinkd(&["items", "export", "--format", "jsonl"]).await;
    assert_eq!(lines.stdout.lines().count(), 60);
    let row: Value = serde_json::from_str(lines.stdout.lines().next().expect("a row")).expect("JSON");
    assert_eq!((&row["item_id"], &row["state"]), (&"item-0".into(), &"healthy".into()));
    assert!(!format!("{said:?}{lines:?}").contains(TOKEN));
    world.end().await;
}

#[tokio::test]
async fn the_release_is_planned_and_shown() {
    let world = World::new().await;
    let mut said = String::new();
    for words in [
        &["letters", "release"][..],
        &["letters", "release", "--per-day", "500"],
        &["letters", "release", "--stop", "--json"],
        &["letters", "release", "--per-day", "0"],
        &["letters", "release", "--all", "--stop"],
    ] {
        said += &format!("$ {}\n{}\n\n", words.join(" "), world.relinkd(words).await.whole());
    }
    // The story began at nine, and the machine may be slow.
    let now = world.clock.now();
    let said = said.replace(&now.strftime("%Y-%m-%d").to_string(), "TODAY");
    let said = (0..60).fold(said, |said, minute| said.replace(&format!("TODAY 09:{minute:02}Z"), "TODAY 09:MMZ"));
    insta::assert_snapshot!(said, @r#"
    $ letters release
    Plan  none
    Held  0 users, 0 Items
    --- exit code 0

    $ letters release --per-day 500
    Plan             500 users a day
    Held             0 users, 0 Items
    Released today   0 users
    Released so far  0 users
    Next look        TODAY 09:MMZ
    Days left        0, if nothing else is found
    --- exit code 0

    $ letters release --stop --json
    {"plan":"none","per_day":null,"held_users":0,"unreachable_users":0,"held_items":0,"released_today":0,"released_total":0,"next_portion_at":null,"days_left":null}
    --- exit code 0

    $ letters release --per-day 0
    --- stderr
    error: invalid value '0' for '--per-day <N>': 0 is not in 1..=4294967295

    For more information, try '--help'.
    --- exit code 2

    $ letters release --all --stop
    --- stderr
    error: the argument '--all' cannot be used with '--stop'

    Usage: relinkd letters release --all --config <FILE>

    For more information, try '--help'.
    --- exit code 2
    "#);
    world.end().await;
}
