//! `import` and `export`: faults with their lines, a dry run, going on after a break, and no token on its way out.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::harness::World;
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
fn many(count: u32) -> String {
    let row = |number| format!("item-{number},user-{number},{TOKEN}-{number}\n");
    format!("item_id,user_id,access_token\n{}", (0..count).map(row).collect::<String>())
}

async fn items(world: &World) -> usize {
    world.relinkd(&["items", "list", "--json"]).await.json().len()
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
    insta::assert_snapshot!(said, @"");
    assert_eq!(items(&world).await, 2);
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
    insta::assert_snapshot!(said, @"");
    world.end().await;
}

#[tokio::test]
async fn an_import_that_breaks_off_says_where_to_go_on() {
    let mut world = World::new().await;
    let csv = file(&world, "items.csv", &many(2500));
    world.relinkd(&["items", "import", path(&csv), "--from-line", "2302"]).await.well();
    assert_eq!(items(&world).await, 200);
    let said = world.relinkd(&["items", "import", path(&csv)]).await.well();
    assert!(said.starts_with("2500 rows: 2300 new, 0 changed, 200 the same"), "{said}");
    world.stop().await;
    let dead = world.relinkd(&["items", "import", path(&csv), "--from-line", "7"]).await;
    insta::assert_snapshot!(dead.whole(), @"");
    world.start().await;
    world.end().await;
}

#[tokio::test]
async fn a_signal_stops_an_import_between_two_parts() {
    let world = World::new().await;
    let config = world.config_file();
    let words = ["items", "import", "-", "--format", "csv", "--config", path(&config)];
    let mut command = Command::new(BINARY);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut running = command.spawn().expect("the binary starts");
    let mut input = running.stdin.take().expect("a pipe");
    // One part is whole, the second is not, and the pipe stays open.
    input.write_all(many(1001).as_bytes()).await.expect("written");
    while world.get("/v1/items/item-999").await.0 != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let id = running.id().expect("it runs").to_string();
    Command::new("kill").args(["-INT", &id]).status().await.expect("a signal");
    let output = tokio::time::timeout(LIMIT, running.wait_with_output()).await.expect("it ends").expect("an output");
    drop(input);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    insta::assert_snapshot!(format!("{said}{}", output.status), @"");
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
        insta::allow_duplicates! { insta::assert_snapshot!(said.whole().replace(name, "FILE"), @""); }
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
async fn items_go_out_without_their_tokens() {
    let world = World::new().await;
    let csv = file(&world, "items.csv", &many(1200));
    world.relinkd(&["items", "import", path(&csv)]).await.well();
    let said = world.relinkd(&["items", "export"]).await;
    assert_eq!(said.stdout.lines().count(), 1201);
    insta::assert_snapshot!(format!("{}\n{}", said.stdout.lines().next().expect("a header"), said.stderr), @"");
    let lines = world.relinkd(&["items", "export", "--format", "jsonl"]).await;
    assert_eq!(lines.stdout.lines().count(), 1200);
    let row: Value = serde_json::from_str(lines.stdout.lines().next().expect("a row")).expect("JSON");
    assert_eq!((&row["item_id"], &row["token"]), (&"item-0".into(), &"unproven".into()));
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
    insta::assert_snapshot!(said, @"");
    world.end().await;
}
