//! The process that only sends: what the sink takes from the simplest client there is, and from one off the shelf.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use lettre::address::Envelope;
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{AsyncTransport as _, Tokio1Executor};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::child::{next_order, say};

/// As many connections as the daemon makes at most.
pub const CONNECTIONS: usize = 16;

/// Reads the letters, and then sends as it is told: so many (`bare`), or for so many milliseconds (`naive`).
pub fn run(way: &str, address: &str, letters: &str) -> anyhow::Result<()> {
    let letters = split(&std::fs::read(letters)?);
    ensure!(!letters.is_empty(), "there is no letter to send");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    say(&json!({ "letters": letters.len() }))?;
    while let Some(order) = next_order()? {
        let number: usize = order.parse()?;
        let said = match way {
            "bare" => runtime.block_on(bare(address, &letters.as_slice().into(), number))?,
            "naive" => runtime.block_on(naive(address, &letters, Duration::from_millis(number as u64)))?,
            _ => bail!("no such way to send: {way}"),
        };
        say(&said)?;
    }
    Ok(())
}

/// The letters of a file, each with its final dot.
fn split(all: &[u8]) -> Vec<Vec<u8>> {
    let mut letters = Vec::new();
    let mut from = 0;
    for to in 0..all.len() {
        if all[from..to].ends_with(b"\r\n.\r\n") {
            letters.push(all[from..to].to_vec());
            from = to;
        }
    }
    letters.push(all[from..].to_vec());
    letters
}

async fn bare(address: &str, letters: &Arc<[Vec<u8>]>, count: usize) -> anyhow::Result<Value> {
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        stream.get_ref().set_nodelay(true)?;
        expect(&mut stream, b"2").await?;
        say_and_expect(&mut stream, b"EHLO bench.example.com\r\n", b"2").await?;
        streams.push(stream);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut sending = JoinSet::new();
    for mut stream in streams {
        let (letters, next) = (Arc::clone(letters), Arc::clone(&next));
        sending.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(());
                }
                say_and_expect(&mut stream, b"MAIL FROM:<hello@example.com>\r\n", b"2").await?;
                let to = format!("RCPT TO:<person-{number}@example.com>\r\n");
                say_and_expect(&mut stream, to.as_bytes(), b"2").await?;
                say_and_expect(&mut stream, b"DATA\r\n", b"3").await?;
                say_and_expect(&mut stream, &letters[number % letters.len()], b"2").await?;
            }
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(json!({ "seconds": begun.elapsed().as_secs_f64() }))
}

async fn say_and_expect(stream: &mut BufReader<TcpStream>, bytes: &[u8], first: &[u8]) -> anyhow::Result<()> {
    stream.get_mut().write_all(bytes).await?;
    expect(stream, first).await
}

/// Reads a reply to its last line, which has to begin with this digit.
async fn expect(stream: &mut BufReader<TcpStream>, first: &[u8]) -> anyhow::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        stream.read_until(b'\n', &mut line).await?;
        if line.get(3) != Some(&b'-') {
            ensure!(line.starts_with(first), "the sink says {:?}", String::from_utf8_lossy(&line));
            return Ok(());
        }
    }
}

/// One letter after the other through lettre's transport.
async fn naive(address: &str, letters: &[Vec<u8>], time: Duration) -> anyhow::Result<Value> {
    let (host, port) = address.rsplit_once(':').context("an address without a port")?;
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(port.parse()?).build();
    let envelope = Envelope::new(Some("hello@example.com".parse()?), vec!["person@example.com".parse()?])?;
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < time {
        let letter = &letters[sent % letters.len()];
        // It puts the final dot itself.
        let letter = letter.strip_suffix(b".\r\n").context("a letter without its end")?;
        transport.send_raw(&envelope, letter).await?;
        sent += 1;
    }
    Ok(json!({ "sent": sent }))
}
