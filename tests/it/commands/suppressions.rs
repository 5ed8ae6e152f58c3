//! `relinkd suppressions`, `relinkd pause` and `relinkd bounce`.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::harness::World;
use crate::process::BINARY;

#[tokio::test]
async fn an_address_is_suppressed_listed_and_let_go() {
    let world = World::new().await;
    world.user("user-1").await;
    let added = ["suppressions", "add", "--user", "user-1", "--note", "asked by phone", "--json"];
    let added = world.relinkd(&added).await.json();
    assert_eq!((&added[0]["reason"], &added[0]["user_ids"]), (&"operator".into(), &serde_json::json!(["user-1"])));
    let list = world.relinkd(&["suppressions", "list"]).await.well();
    assert!(
        list.contains("operator") && list.contains("asked by phone") && !list.contains("mailbox.example"),
        "{list}"
    );
    let id = added[0]["suppression_id"].as_str().expect("an id");
    assert_eq!(world.relinkd(&["suppressions", "remove", "--id", id]).await.code, 0);
    let again = world.relinkd(&["suppressions", "remove", "--email", "user-1@mailbox.example"]).await;
    assert_eq!((again.code, again.stderr.as_str()), (1, "relinkd: there is no such suppression\n"));
    let both = world.relinkd(&["suppressions", "add", "--email", "a@b.example", "--user", "user-1"]).await;
    assert_eq!(both.code, 2);
    let shown = world.relinkd(&["pause", "show"]).await.well();
    assert!(shown.contains("leave"), "{shown}");
    let none = world.relinkd(&["pause", "end"]).await;
    assert_eq!((none.code, none.stderr.as_str()), (1, "relinkd: there is no such pause\n"));
    world.end().await;
}

#[tokio::test]
async fn a_mail_server_pipes_a_report_and_keeps_it_while_nobody_answers() {
    let mut world = World::new().await;
    let config = world.config_file();
    let pipe = async |report: &[u8]| {
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(&config).args(["bounce", "--json"]).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(report).await.expect("it reads");
        let output = child.wait_with_output().await.expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let said = "{\"result\":\"not_ours\"}\n".to_owned();
    assert_eq!(pipe(b"Subject: hello\r\n\r\nno report\r\n").await, (Some(0), said));
    assert_eq!(pipe(b"").await.0, Some(2));
    world.stop().await;
    assert_eq!(pipe(b"Subject: hello\r\n\r\nno report\r\n").await.0, Some(75), "try again");
    world.start().await;
    world.end().await;
}
