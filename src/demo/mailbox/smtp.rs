//! The SMTP side of the mailbox: takes every letter, delivers none.
//!
//! Speaks what a mail client needs (RFC 5321, AUTH PLAIN and LOGIN with any password, pipelining), and ends a letter at
//! CRLF . CRLF only, so that a body that smuggles a command is seen as it is. It parses no letter; that is
//! [`super::mime`].

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::Inbox;

/// The longest line that is read, in bytes; RFC 5321 allows 1,000 in a letter and 512 in a command.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// The most recipients of one letter, as RFC 5321 wants them to be allowed.
const RECIPIENTS_MAX: usize = 100;

/// How many connections are served at once; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may be silent.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// How many commands may be wrong before the connection ends.
const MISTAKES_MAX: u32 = 20;

/// Takes connections until the mailbox stops.
pub(super) async fn accept(listener: TcpListener, inbox: Arc<Inbox>) {
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            () = inbox.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file handles, most likely: a moment's rest instead of a hot loop.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let own = Arc::clone(&inbox);
        inbox.tracker.spawn(async move {
            tokio::select! {
                () = own.stop.cancelled() => {}
                _ = converse(stream, &own) => {}
            }
            drop(place);
        });
    }
}

/// What a client has said so far.
#[derive(Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

/// What follows a command.
enum Next {
    Reply(&'static str),
    Data,
    /// AUTH asks for so many more lines, which are read and forgotten.
    Auth(u8),
    Quit,
    Mistake(&'static str),
}

async fn converse(stream: TcpStream, inbox: &Inbox) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut envelope = Envelope::default();
    let mut mistakes = 0;
    say(&mut write, "220 mailbox of the demo ESMTP").await?;
    while let Some(line) = line(&mut read).await? {
        match command(&line, &mut envelope, inbox.size_max) {
            Next::Reply(text) => say(&mut write, text).await?,
            Next::Auth(lines) => {
                for _ in 0..lines {
                    say(&mut write, "334 VXNlcm5hbWU6").await?;
                    if self::line(&mut read).await?.is_none() {
                        return Ok(());
                    }
                }
                say(&mut write, "235 2.7.0 welcome").await?;
            }
            Next::Data => {
                say(&mut write, "354 go on, end with <CRLF>.<CRLF>").await?;
                let Some(letter) = letter(&mut read, inbox.size_max).await? else {
                    return Ok(());
                };
                let Envelope { from, to } = std::mem::take(&mut envelope);
                match letter {
                    Body::Whole(raw) => {
                        let number = inbox.put(from.unwrap_or_default(), to, raw);
                        say(&mut write, &format!("250 2.0.0 letter {number} is in the mailbox")).await?;
                    }
                    Body::TooLarge => say(&mut write, "552 5.3.4 the letter is too large").await?,
                }
            }
            Next::Quit => return say(&mut write, "221 2.0.0 goodbye").await,
            Next::Mistake(text) => {
                mistakes += 1;
                if mistakes >= MISTAKES_MAX {
                    return say(&mut write, "421 4.7.0 too many mistakes").await;
                }
                say(&mut write, text).await?;
            }
        }
    }
    Ok(())
}

fn command(line: &[u8], envelope: &mut Envelope, size_max: usize) -> Next {
    let Ok(line) = std::str::from_utf8(line) else {
        return Next::Mistake("500 5.5.2 not UTF-8");
    };
    let line = line.trim_end();
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => {
            *envelope = Envelope::default();
            Next::Reply(
                "250-mailbox of the demo\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN",
            )
        }
        "HELO" => {
            *envelope = Envelope::default();
            Next::Reply("250 mailbox of the demo")
        }
        "MAIL" => match path(rest, "FROM:") {
            None => Next::Mistake("501 5.5.4 MAIL FROM:<address>"),
            Some(_) if envelope.from.is_some() => Next::Mistake("503 5.5.1 one sender only"),
            Some((_, parameters)) if announced(parameters) > size_max => {
                Next::Reply("552 5.3.4 the letter is too large")
            }
            Some((address, _)) => {
                envelope.from = Some(address.to_owned());
                Next::Reply("250 2.1.0 ok")
            }
        },
        "RCPT" => match path(rest, "TO:") {
            _ if envelope.from.is_none() => Next::Mistake("503 5.5.1 MAIL first"),
            None | Some(("", _)) => Next::Mistake("501 5.5.4 RCPT TO:<address>"),
            Some(_) if envelope.to.len() >= RECIPIENTS_MAX => Next::Reply("452 4.5.3 too many recipients"),
            Some((address, _)) => {
                envelope.to.push(address.to_owned());
                Next::Reply("250 2.1.5 ok")
            }
        },
        "DATA" if envelope.to.is_empty() => Next::Mistake("503 5.5.1 RCPT first"),
        "DATA" => Next::Data,
        "RSET" => {
            *envelope = Envelope::default();
            Next::Reply("250 2.0.0 ok")
        }
        "NOOP" => Next::Reply("250 2.0.0 ok"),
        "VRFY" => Next::Reply("252 2.5.0 send, and see"),
        "AUTH" => auth(rest),
        "QUIT" => Next::Quit,
        _ => Next::Mistake("500 5.5.1 unknown command"),
    }
}

fn auth(rest: &str) -> Next {
    let mut words = rest.split_ascii_whitespace();
    let first_given = |words: &mut std::str::SplitAsciiWhitespace<'_>| u8::from(words.next().is_some());
    match words.next().map(str::to_ascii_uppercase).as_deref() {
        Some("PLAIN") => Next::Auth(1 - first_given(&mut words)),
        Some("LOGIN") => Next::Auth(2 - first_given(&mut words)),
        _ => Next::Mistake("504 5.5.4 AUTH PLAIN or LOGIN"),
    }
}

/// The address between angle brackets, and the parameters behind it.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let head = rest.get(..keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    rest[keyword.len()..].trim_start().strip_prefix('<')?.split_once('>')
}

/// The size that a client announces, in bytes.
fn announced(parameters: &str) -> usize {
    let size = parameters.split_ascii_whitespace().find_map(|word| word.strip_prefix("SIZE="));
    size.and_then(|size| size.parse().ok()).unwrap_or(0)
}

enum Body {
    Whole(Vec<u8>),
    TooLarge,
}

/// Reads up to the lone dot, takes the stuffed dots out. `None` when the client went away.
async fn letter(read: &mut (impl AsyncBufRead + Unpin), size_max: usize) -> std::io::Result<Option<Body>> {
    let mut raw = Vec::new();
    let mut size = 0_usize;
    // Only CRLF begins a new line here: a dot behind a bare line feed is part of the letter.
    let mut fresh = true;
    while let Some(line) = line(read).await? {
        if fresh && line == b".\r\n" {
            let body = if size > size_max { Body::TooLarge } else { Body::Whole(raw) };
            return Ok(Some(body));
        }
        let unstuffed = line.strip_prefix(b".").filter(|_| fresh);
        fresh = line.ends_with(b"\r\n");
        let line = unstuffed.unwrap_or(&line);
        size += line.len();
        if size <= size_max {
            raw.extend_from_slice(line);
        }
    }
    Ok(None)
}

/// One line with its end; a longer one than the limit comes in pieces. `None` at the end, or after too long a silence.
async fn line(read: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = read.take(LINE_BYTES_MAX);
    let reading = limited.read_until(b'\n', &mut line);
    match tokio::time::timeout(SILENCE_LIMIT, reading).await {
        Err(_) => Ok(None),
        Ok(result) => Ok((result? > 0).then_some(line)),
    }
}

async fn say(write: &mut (impl AsyncWrite + Unpin), text: &str) -> std::io::Result<()> {
    write.write_all(format!("{text}\r\n").as_bytes()).await
}
