//! How a command finds the daemon, and what it says when it does not.

use std::os::unix::fs::PermissionsExt as _;

use tokio::process::Command;

use crate::harness::command::{Output, relinkd};
use crate::process::{BINARY, Site, has, say};

const NO_PLAID: &str = "http://127.0.0.1:9";

async fn said(command: &mut Command) -> Output {
    relinkd(command.env_clear()).await
}

#[tokio::test]
async fn the_configuration_names_the_socket_and_nothing_else_of_it_matters() {
    let site = Site::new(NO_PLAID);
    let mut daemon = site.serve().await;
    let list = || {
        let mut command = Command::new(BINARY);
        command.args(["users", "list", "--config"]).arg(site.config());
        command
    };
    assert_eq!(said(&mut list()).await.code, 0);
    let text = std::fs::read_to_string(site.config()).expect("there");
    let broken = text.replace("data_key = ", "data_key_file = \"nobody-may-read-this\"\n#").replace("[mail]", "[mial]");
    std::fs::write(site.config(), broken).expect("written");
    assert_eq!(said(&mut list()).await.code, 0, "no secret is read, and another's fault is not ours");
    std::fs::remove_file(site.config()).expect("removed");
    let lost = said(&mut list()).await;
    assert_eq!(lost.code, 2);
    assert!(
        lost.stderr.contains("cannot be read: No such file") && lost.stderr.contains("--socket PATH"),
        "{}",
        lost.stderr
    );
    let mut named = Command::new(BINARY);
    named.args(["users", "list", "--socket"]).arg(site.control_socket());
    assert_eq!(said(&mut named).await.code, 0);
    crate::process::terminate(&mut daemon).await;
    let stopped = said(&mut named).await;
    assert_eq!((stopped.code, stopped.stdout.as_str()), (1, ""));
    let expected =
        format!("relinkd: no daemon answers at {}. Start it (`relinkd serve`,", site.control_socket().display());
    assert!(stopped.stderr.starts_with(&expected), "{}", stopped.stderr);
}

#[tokio::test]
async fn a_user_who_may_not_open_the_socket_is_told_whom_to_be() {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root || !has("setpriv") {
        say("who_may_not_open_the_socket: skipped, since it needs root and setpriv to be somebody else");
        return;
    }
    let site = Site::new(NO_PLAID);
    let mut daemon = site.serve().await;
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(site.folder.path(), open).expect("everybody may enter the folder");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", BINARY, "users", "list", "--socket"]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let refused = relinkd(command.arg(site.control_socket()).env_clear().env("PATH", path)).await;
    if refused.stderr.starts_with("setpriv:") {
        say("who_may_not_open_the_socket: skipped, since nobody else may start the binary here");
    } else {
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("you may not use ") && refused.stderr.contains("sudo -u relinkd"),
            "{}",
            refused.stderr
        );
    }
    crate::process::terminate(&mut daemon).await;
}
