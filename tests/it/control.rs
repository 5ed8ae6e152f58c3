//! The control socket of the real binary: who may use it, what it serves, and what becomes of its file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::process::{Site, signal, terminate, wait};

/// Nobody asks Plaid here.
const NO_PLAID: &str = "http://127.0.0.1:9";

fn over(socket: &Path) -> reqwest::Client {
    reqwest::Client::builder().unix_socket(socket).no_proxy().build().expect("a client")
}

async fn get(socket: &Path, path: &str) -> (u16, Value) {
    let answer = over(socket).get(format!("http://relinkd{path}")).send().await.expect("answered");
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default())
}

#[tokio::test]
async fn it_serves_the_api_without_a_key_to_one_user_and_goes_with_the_daemon() {
    let site = Site::new(NO_PLAID);
    let socket = site.control_socket();
    let mut daemon = site.serve().await;
    let mode = std::fs::metadata(&socket).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let put = over(&socket).put("http://relinkd/v1/users/user-1").body(r#"{"email":"user-1@example.com"}"#);
    assert_eq!(put.send().await.expect("answered").status().as_u16(), 201);
    let (status, user) = get(&socket, "/v1/users/user-1").await;
    assert_eq!((status, user["email"].as_str()), (200, Some("user-1@example.com")));
    assert_eq!(user, site.api(reqwest::Method::GET, "/v1/users/user-1", None).await, "the same code answers");
    let (status, problem) = get(&socket, "/v1/nothing").await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("not_found")));
    // Over the network nothing has changed.
    let open = site.http.get(format!("http://{}/v1/users/user-1", site.private)).send().await.expect("answered");
    assert_eq!(open.status().as_u16(), 401);
    assert!(terminate(&mut daemon).await.success(), "{}", site.said());
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_killed_daemon_leaves_its_socket_and_the_next_one_takes_its_place() {
    let site = Site::new(NO_PLAID);
    let socket = site.control_socket();
    let mut daemon = site.serve().await;
    signal(daemon.id().expect("it runs"), "KILL");
    wait(&mut daemon).await;
    assert!(socket.exists(), "nobody could remove it");
    let mut daemon = site.serve().await;
    assert_eq!(get(&socket, "/healthz").await.0, 200);
    assert!(terminate(&mut daemon).await.success());
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_socket_that_cannot_be_made_is_a_clear_error() {
    let site = Site::new(NO_PLAID);
    std::fs::write(site.control_socket(), "a file of somebody else").expect("written");
    let mut daemon = site.command(&["serve"]).spawn().expect("the binary starts");
    assert_eq!(wait(&mut daemon).await.code(), Some(1));
    let said = site.said();
    assert!(said.contains("[server] control_socket = "), "{said}");
    assert!(said.contains("a file is there that is no socket: write another path, or move the file away"), "{said}");

    let text = std::fs::read_to_string(site.config()).expect("there");
    std::fs::write(site.config(), text.replace("\"control.sock\"", "\"missing/control.sock\"")).expect("written");
    let mut daemon = site.command(&["serve"]).spawn().expect("the binary starts");
    assert_eq!(wait(&mut daemon).await.code(), Some(1));
    let said = site.said();
    assert!(said.contains("Its folder has to be there and be writable"), "{said}");
}
