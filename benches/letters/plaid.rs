//! Plaid, as far as a letter asks it: the Item's login is broken, and its bank is up.
//!
//! By hand and on one thread: what this costs is taken from the daemon's cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::population::{TOKEN, bank_id, item_id};

/// A Plaid that answers as long as this lives.
pub struct Plaid {
    /// Its address.
    pub url: String,
    asked: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Plaid {
    /// How many questions it answered.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Starts it on a thread of its own.
pub fn start() -> anyhow::Result<Plaid> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    runtime.spawn(async move {
        let mut talking = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            talking.spawn(talk(stream, Arc::clone(&counted)));
        }
    });
    Ok(Plaid { url, asked, _runtime: runtime })
}

/// Answers the requests of one connection until it ends.
async fn talk(mut stream: TcpStream, asked: Arc<AtomicUsize>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(4096);
    loop {
        let Some((path, body)) = request(&mut stream, &mut read).await? else { return Ok(()) };
        asked.fetch_add(1, Ordering::Relaxed);
        let (status, answer) = match path.as_str() {
            "/item/get" => ("200 OK", item_get(&body)),
            "/institutions/get_by_id" => ("200 OK", bank(&body)),
            _ => ("404 Not Found", json!({})),
        };
        let answer = answer.to_string();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all((head + &answer).as_bytes()).await?;
    }
}

/// The next request's path and body; nothing once there are no more. What was read beyond it stays.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> anyhow::Result<Option<(String, Value)>> {
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = std::str::from_utf8(&read[..end])?.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(Ok(0), |length| length.trim().parse())?;
            let whole = end + 4 + length;
            if read.len() >= whole {
                let path = head.split(' ').nth(1).context("a request without a path")?.to_owned();
                let body = serde_json::from_slice(&read[end + 4..whole])?;
                read.drain(..whole);
                return Ok(Some((path, body)));
            }
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

fn item_get(request: &Value) -> Value {
    let number = request["access_token"].as_str().and_then(|token| token.strip_prefix(TOKEN)?.parse().ok());
    let number: usize = number.unwrap_or_default();
    let bank = bank_id(number);
    json!({
        "item": {
            "item_id": item_id(number), "institution_id": bank, "institution_name": format!("Bank {bank}"),
            "webhook": "https://repair.example.com/plaid/webhook", "consent_expiration_time": null,
            "error": {
                "display_message": "The login details of this item have changed.",
                "error_code": "ITEM_LOGIN_REQUIRED",
                "error_message": "the login details of this item have changed (credentials, MFA, or required user action)",
                "error_type": "ITEM_ERROR",
                "status": 400,
            },
        },
        "status": null,
        "request_id": "request",
    })
}

fn bank(request: &Value) -> Value {
    let name = format!("Bank {}", request["institution_id"].as_str().unwrap_or_default());
    json!({ "institution": { "name": name, "status": { "item_logins": { "status": "HEALTHY" } } }, "request_id": "request" })
}
