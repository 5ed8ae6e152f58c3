//! Asks a DNS server for TXT records: RFC 1035, one question at a time, over UDP, and over TCP where the answer is too long.
//!
//! Three questions about the sender's domain need no more. It follows no chain itself, caches nothing, and believes what the
//! system's resolver says; relinkd decides nothing by it but what `relinkd check` prints.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::engine::clock::Clock;

/// Where the system's resolver is named.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How long one server may take for one answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// How often each server is asked. A datagram can be lost.
const TRIES: usize = 2;

/// How many servers are asked, as in resolv.conf(5).
const SERVERS_MAX: usize = 3;

/// The longest answer over UDP without extensions.
const UDP_BYTES_MAX: usize = 512;

const PORT: u16 = 53;
const TXT: u16 = 16;
const INTERNET: u16 = 1;
const HEADER_BYTES: usize = 12;

/// What a server says about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The name is there, with these TXT records; perhaps none.
    Texts(Vec<String>),
    /// There is no such name, and nothing below it.
    NoName,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DnsError {
    #[error("no DNS server answers")]
    Silent,
    #[error("the DNS server refuses (code {0})")]
    Refused(u8),
    #[error("the DNS server's answer does not read")]
    Garbled,
    #[error("the name cannot be asked for")]
    BadName,
}

/// Who is asked.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
}

impl Resolver {
    /// One server.
    pub(super) fn at(server: SocketAddr) -> Self {
        Self { servers: vec![server] }
    }

    /// The servers that the system asks.
    pub(super) fn of_the_system() -> Self {
        let text = std::fs::read_to_string(Path::new(RESOLV_CONF)).unwrap_or_default();
        Self { servers: servers(&text) }
    }

    /// The TXT records of a name.
    pub(super) async fn texts(&self, name: &str) -> Result<Answer, DnsError> {
        let id = u16::from_be_bytes(Clock::system().random());
        let question = question(id, name).ok_or(DnsError::BadName)?;
        let mut last = DnsError::Silent;
        for _ in 0..TRIES {
            for server in &self.servers {
                let Ok(Ok(answer)) = timeout(ANSWER_TIME_MAX, ask(*server, &question)).await else { continue };
                match read(&answer, &question) {
                    // Another server may know more.
                    Err(error) => last = error,
                    known => return known,
                }
            }
        }
        Err(last)
    }
}

/// The `nameserver` lines of resolv.conf(5); without any the machine itself is asked. An IPv6 address with a scope is passed
/// over.
fn servers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    });
    let mut found: Vec<SocketAddr> =
        lines.filter_map(|text| text.parse::<IpAddr>().ok()).map(|ip| (ip, PORT).into()).take(SERVERS_MAX).collect();
    if found.is_empty() {
        found.push(([127, 0, 0, 1], PORT).into());
    }
    found
}

async fn ask(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    // Only what this server sends is heard from here on.
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut bytes = vec![0; UDP_BYTES_MAX];
    loop {
        let length = socket.recv(&mut bytes).await?;
        let answer = &bytes[..length];
        if answers(answer, question) {
            return if is_cut(answer) { ask_over_tcp(server, question).await } else { Ok(answer.to_vec()) };
        }
    }
}

async fn ask_over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// A question, with recursion. Nothing for what is no name.
fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    if bytes.len() - HEADER_BYTES > 254 {
        return None;
    }
    bytes.push(0);
    bytes.extend(TXT.to_be_bytes());
    bytes.extend(INTERNET.to_be_bytes());
    Some(bytes)
}

/// Whether this is the answer to that question: the id, the bit that says so, the question repeated.
fn answers(answer: &[u8], question: &[u8]) -> bool {
    let repeated = answer.get(HEADER_BYTES..question.len());
    answer.get(..2) == question.get(..2)
        && answer.get(2).is_some_and(|flags| flags & 0x80 != 0)
        && repeated.is_some_and(|repeated| repeated.eq_ignore_ascii_case(&question[HEADER_BYTES..]))
}

fn is_cut(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

fn read(answer: &[u8], question: &[u8]) -> Result<Answer, DnsError> {
    if !answers(answer, question) {
        return Err(DnsError::Garbled);
    }
    match answer[3] & 0x0f {
        0 => texts(answer, question.len()).map(Answer::Texts).ok_or(DnsError::Garbled),
        3 => Ok(Answer::NoName),
        code => Err(DnsError::Refused(code)),
    }
}

/// The TXT records behind the question. A record of another kind, such as the CNAME on the way, is passed over.
fn texts(answer: &[u8], begin: usize) -> Option<Vec<String>> {
    let count = u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]);
    let mut rest = answer.get(begin..)?;
    let mut texts = Vec::new();
    for _ in 0..count {
        rest = behind_name(rest)?;
        let (fixed, behind) = rest.split_at_checked(10)?;
        let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
        let length = u16::from_be_bytes([fixed[8], fixed[9]]);
        let (data, behind) = behind.split_at_checked(length.into())?;
        if kind == TXT {
            texts.push(text(data)?);
        }
        rest = behind;
    }
    Some(texts)
}

/// What follows a name: labels up to the empty one or a pointer.
fn behind_name(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    loop {
        let (length, behind) = rest.split_first()?;
        match length {
            0 => return Some(behind),
            0xc0.. => return behind.get(1..),
            1..=63 => rest = behind.get(usize::from(*length)..)?,
            64..0xc0 => return None,
        }
    }
}

/// The parts of a record, put together without a space (RFC 7208 section 3.3).
fn text(data: &[u8]) -> Option<String> {
    let (mut whole, mut rest) = (Vec::new(), data);
    while let Some((length, behind)) = rest.split_first() {
        let (part, behind) = behind.split_at_checked(usize::from(*length))?;
        whole.extend(part);
        rest = behind;
    }
    Some(String::from_utf8_lossy(&whole).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer with these records: kind and data.
    fn answer(question: &[u8], code: u8, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = question.to_vec();
        (bytes[2], bytes[3]) = (0x81, 0x80 | code);
        bytes[7] = u8::try_from(records.len()).expect("few");
        for (kind, data) in records {
            bytes.extend([0xc0, 0x0c]);
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 0, 60]);
            bytes.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            bytes.extend(*data);
        }
        bytes
    }

    #[test]
    fn the_parts_of_a_record_are_put_together_and_other_kinds_passed_over() {
        let question = question(7, "example.com").expect("a name");
        assert_eq!(&question[HEADER_BYTES..], b"\x07example\x03com\0\0\x10\0\x01");
        let bytes = answer(&question, 0, &[(5, b"\x03www\xc0\x0c"), (TXT, b"\x06v=spf1\x05 -all"), (TXT, b"\x01x")]);
        let texts = Answer::Texts(vec!["v=spf1 -all".to_owned(), "x".to_owned()]);
        assert_eq!(read(&bytes, &question), Ok(texts));
        assert_eq!(read(&answer(&question, 0, &[]), &question), Ok(Answer::Texts(Vec::new())));
        assert_eq!(read(&answer(&question, 3, &[]), &question), Ok(Answer::NoName));
        assert_eq!(read(&answer(&question, 2, &[]), &question), Err(DnsError::Refused(2)));
        let other = self::question(8, "example.com").expect("a name");
        assert_eq!(read(&answer(&other, 0, &[]), &question), Err(DnsError::Garbled), "another id");
        assert_eq!(read(&question, &question), Err(DnsError::Garbled), "an echo is no answer");
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        assert_eq!(question(1, ""), None);
        assert_eq!(question(1, "a..b"), None);
        assert_eq!(question(1, &"a".repeat(64)), None);
        assert_eq!(question(1, &["a".repeat(63).as_str(); 4].join(".")), None);
        assert!(question(1, &["a".repeat(61).as_str(); 4].join(".")).is_some());
    }

    #[test]
    fn the_servers_of_the_system_are_read() {
        let text =
            "# comment\nnameserver 192.0.2.1\nsearch example.com\nnameserver fe80::1%eth0\n nameserver 2001:db8::1\n";
        let found: Vec<String> = servers(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert_eq!(servers(""), ["127.0.0.1:53".parse().expect("an address")]);
    }

    proptest! {
        /// Whatever a server sends: an answer or an error, and no panic.
        #[test]
        fn no_answer_breaks_it(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), rightly in any::<bool>()) {
            let question = question(7, "a.example").expect("a name");
            if rightly {
                bytes.splice(0..0, answer(&question, 0, &[]));
                bytes[7] = 3;
            }
            let _ = read(&bytes, &question);
        }
    }
}
