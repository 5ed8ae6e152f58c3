//! The process that sends: connections that are kept open, each with one webhook under way. Also the bare verification,
//! since the signed webhooks are here.
//!
//! By hand and on one thread: what the sender costs is taken from the server's cores.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use relinkd::demo::signer::Signer;
use relinkd::engine::clock::Clock;
use relinkd::plaid::signature::{self, Key};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::child::{cpu_of, next_order, say};
use crate::webhooks::{self, Signed};

/// A 503 that took so long is the daemon's word that its disk stands still: Plaid is to repeat the webhook.
const SLOW: Duration = Duration::from_secs(8);

/// What one connection was answered.
#[derive(Default)]
struct Answers {
    /// How long each 200 took.
    micros: Vec<u32>,
    /// 503 on a disk that stands still. The webhook may be kept later.
    slow: u64,
    /// Everything else.
    refused: u64,
}

/// Signs, then does what it is told: `load ADDRESS CONNECTIONS MILLISECONDS` and `bare MILLISECONDS`.
pub fn run(pool: &str, items: &str) -> anyhow::Result<()> {
    let now = Clock::system().now().as_second();
    let signer = Signer::new(webhooks::KID);
    let pool: Arc<[Signed]> = webhooks::signed(&signer, pool.parse()?, items.parse()?, now).into();
    let jwk = signer.jwk(now, None);
    let key = Key::parse(&jwk.to_string(), signer.kid())?;
    let next = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    say(&json!({ "jwk": jwk }))?;
    while let Some(order) = next_order()? {
        let words: Vec<&str> = order.split(' ').collect();
        let answer = match words.as_slice() {
            ["load", address, connections, millis] => {
                let time = Duration::from_millis(millis.parse()?);
                runtime.block_on(load(address, connections.parse()?, time, &pool, &next))?
            }
            ["bare", millis] => bare(&pool, &key, Duration::from_millis(millis.parse()?))?,
            _ => bail!("no such order: {order}"),
        };
        say(&answer)?;
    }
    Ok(())
}

async fn load(
    address: &str,
    connections: usize,
    time: Duration,
    pool: &Arc<[Signed]>,
    next: &Arc<AtomicUsize>,
) -> anyhow::Result<Value> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.context("the server takes no connection")?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let begun = Instant::now();
    let mut sending = JoinSet::new();
    for stream in streams {
        sending.spawn(send(stream, begun + time, Arc::clone(pool), Arc::clone(next)));
    }
    let Answers { mut micros, mut slow, mut refused } = Answers::default();
    while let Some(sent) = sending.join_next().await {
        let of_one = sent??;
        micros.extend(of_one.micros);
        slow += of_one.slow;
        refused += of_one.refused;
    }
    let seconds = begun.elapsed().as_secs_f64();
    micros.sort_unstable();
    Ok(json!({
        "answered": micros.len(), "slow": slow, "refused": refused, "seconds": seconds,
        "p50": percentile(&micros, 50), "p99": percentile(&micros, 99),
    }))
}

/// Sends one webhook after the other until the time is over.
async fn send(
    mut stream: TcpStream,
    until: Instant,
    pool: Arc<[Signed]>,
    next: Arc<AtomicUsize>,
) -> anyhow::Result<Answers> {
    let mut answers = Answers::default();
    let mut answer = [0; 1024];
    loop {
        let begun = Instant::now();
        if begun >= until {
            return Ok(answers);
        }
        let webhook = &pool[next.fetch_add(1, Ordering::Relaxed) % pool.len()];
        stream.write_all(&webhook.request).await?;
        let mut length = 0;
        // No answer has a body.
        while !answer[..length].ends_with(b"\r\n\r\n") {
            match stream.read(&mut answer[length..]).await? {
                0 => bail!("the server ended a connection after {:?}", String::from_utf8_lossy(&answer[..length])),
                count => length += count,
            }
        }
        if answer.starts_with(b"HTTP/1.1 200 ") {
            answers.micros.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        } else if answer.starts_with(b"HTTP/1.1 503 ") && begun.elapsed() >= SLOW {
            answers.slow += 1;
        } else {
            answers.refused += 1;
        }
    }
}

fn percentile(sorted: &[u32], percent: usize) -> u32 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// Verifies on every core, and does nothing else.
fn bare(pool: &[Signed], key: &Key, time: Duration) -> anyhow::Result<Value> {
    let now = Clock::system().now();
    let threads = std::thread::available_parallelism()?.get();
    let stop = AtomicBool::new(false);
    let before = cpu_of("self")?;
    let begun = Instant::now();
    let verified = std::thread::scope(|scope| -> anyhow::Result<usize> {
        let work = |first: usize| {
            let stop = &stop;
            scope.spawn(move || -> anyhow::Result<usize> {
                let mut count = 0;
                for webhook in pool.iter().cycle().skip(first) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let token = signature::peek(&webhook.token)?;
                    let _ = black_box(signature::verify(&token, key, &webhook.body, now)?);
                    count += 1;
                }
                Ok(count)
            })
        };
        let running: Vec<_> = (0..threads).map(|thread| work(thread * 97)).collect();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let mut all = 0;
        for thread in running {
            all += thread.join().map_err(|_| anyhow::anyhow!("a verifying thread panicked"))??;
        }
        Ok(all)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(json!({ "verified": verified, "seconds": seconds, "cpu": cpu_of("self")? - before }))
}
