//! An HTTP server on loopback that answers as it is told, byte by byte, and remembers what it was asked.
//!
//! By hand and not with a framework, because half of the answers are none: cut off, endless, silent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

use relinkd::plaid::client::{Client, Options, Timeouts};

/// The secret that the clients of the tests have.
pub const SECRET: &str = "secret-c0ffee-of-the-client";

/// How the server behaves towards one connection.
#[derive(Clone)]
pub enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, and the connection stays open.
    Stall(Vec<u8>),
    /// A right head, then one byte after the other without end.
    Drip,
}

impl Reply {
    /// An answer with a status, headers and a body.
    pub fn with(status: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}").into(),
        )
    }

    pub fn json(status: &str, body: &Value) -> Self {
        Self::with(status, &[("Content-Type", "application/json")], &body.to_string())
    }
}

/// What the server was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request line and the headers, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("requests are JSON")
    }
}

pub struct Loopback {
    pub url: Url,
    requests: Arc<Mutex<Vec<Request>>>,
    _tasks: JoinSet<()>,
}

impl Loopback {
    /// A server that answers every connection in the same way.
    pub async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, reply.clone(), Arc::clone(&seen)));
            }
        });
        let url = Url::parse(&format!("http://{address}")).expect("an address");
        Self { url, requests, _tasks: tasks }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test panics here").clone()
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        self.client_within(Duration::from_secs(20))
    }

    /// A client of this server that waits no longer than this for anything.
    pub fn client_within(&self, total: Duration) -> Client {
        Client::with_timeouts(&options(self.url.clone()), Timeouts { connect: total, total }).expect("a client")
    }
}

pub fn options(base_url: Url) -> Options {
    Options { base_url, client_id: "client-id-of-the-test".to_owned(), secret: SecretString::from(SECRET) }
}

async fn serve(mut stream: TcpStream, reply: Reply, seen: Arc<Mutex<Vec<Request>>>) {
    let Some(request) = read_request(&mut stream).await else { return };
    seen.lock().expect("no test panics here").push(request);
    match reply {
        Reply::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Reply::Stall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Reply::Drip => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(b" ").await.is_ok() {
                tick.tick().await;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok()?;
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse::<usize>().ok()?;
            let body = &bytes[end + 4..];
            if body.len() >= length {
                return Some(Request { head, body: body.to_vec() });
            }
        }
        if count == 0 {
            return None;
        }
    }
}
