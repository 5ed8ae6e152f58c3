//! Bytes to and from a mail server: lines of a reply in, commands and a letter out. Knows no meaning of either.
//!
//! Why not lettre's connection: it keeps what was read before STARTTLS and takes it for answers after it, reads greeting
//! and EHLO in one go that cannot be bounded apart, fails a 250 whose text is not UTF-8, takes a 3xx for success, and writes
//! a letter and its final dot apart. lettre makes the letters; the dialogue is small enough to own.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::reply::REPLY_BYTES_MAX;

/// How a dialogue broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// A stage took longer than its limit.
    TimedOut,
    /// The connection ended or was reset.
    Closed,
    /// What came was no SMTP.
    Garbled,
}

impl Cut {
    /// Its name, for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::Garbled => "garbled",
        }
    }
}

impl From<io::Error> for Cut {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// A reply as it came: its code, and its lines without line breaks.
pub(super) struct RawReply {
    pub code: u16,
    pub lines: Vec<String>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection, encrypted or not.
pub(super) struct Wire {
    stream: BufReader<Box<dyn Stream>>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(Box::new(stream)) }
    }

    /// Goes on under TLS.
    ///
    /// What the server said before the handshake is thrown away with the connection: an attacker between us could have
    /// said it. (CVE-2021-38371 and its kin.)
    pub async fn encrypt(self, config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, String> {
        if !self.stream.buffer().is_empty() {
            return Err("the server spoke before the handshake".to_owned());
        }
        let stream = TlsConnector::from(config).connect(name, self.stream.into_inner()).await;
        let stream = stream.map_err(|error| error.to_string())?;
        Ok(Self { stream: BufReader::new(Box::new(stream)) })
    }

    /// Reads one reply of one or more lines.
    pub async fn read_reply(&mut self) -> Result<RawReply, Cut> {
        let mut lines: Vec<String> = Vec::new();
        let mut room = REPLY_BYTES_MAX;
        loop {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(room as u64).read_until(b'\n', &mut line).await?;
            room -= read;
            if line.pop() != Some(b'\n') {
                return Err(if room == 0 { Cut::Garbled } else { Cut::Closed });
            }
            // Replies are ASCII by the book; a word in another encoding must not turn a 250 into a failure.
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            let code = line.get(..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let code: u16 = code.and_then(|digits| digits.parse().ok()).ok_or(Cut::Garbled)?;
            let is_last = match line.as_bytes().get(3) {
                None | Some(b' ') => true,
                Some(b'-') => false,
                Some(_) => return Err(Cut::Garbled),
            };
            let is_same = lines.first().is_none_or(|first| first.get(..3) == line.get(..3));
            if !is_same || !(200..600).contains(&code) {
                return Err(Cut::Garbled);
            }
            lines.push(line);
            if is_last {
                return Ok(RawReply { code, lines });
            }
        }
    }

    /// Writes everything, and counts in `written` what was handed to the system even if it breaks off.
    pub async fn write(&mut self, bytes: &[u8], written: &mut usize) -> Result<(), Cut> {
        let stream = self.stream.get_mut();
        while *written < bytes.len() {
            match stream.write(&bytes[*written..]).await? {
                0 => return Err(Cut::Closed),
                count => *written += count,
            }
        }
        Ok(stream.flush().await?)
    }
}

/// The letter as it goes over the wire after DATA, with its end: lines that begin with a dot get another one.
///
/// Nothing if there is a CR or an LF by itself (some servers take it for a line break, and then a dot for the end:
/// RUSTSEC-2026-0561), or if it is not ASCII.
pub(super) fn dot_stuffed(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 64 + 5);
    let mut before = b'\n';
    for (at, &byte) in message.iter().enumerate() {
        let is_bare = match byte {
            b'\r' => message.get(at + 1) != Some(&b'\n'),
            b'\n' => before != b'\r' || at == 0,
            other => !other.is_ascii() || other == 0,
        };
        if is_bare {
            return None;
        }
        if byte == b'.' && before == b'\n' {
            out.push(b'.');
        }
        out.push(byte);
        before = byte;
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dots_are_doubled_at_the_start_of_lines_only() {
        assert_eq!(dot_stuffed(b".\r\n..a\r\nb.\r\n").as_deref(), Some(&b"..\r\n...a\r\nb.\r\n.\r\n"[..]));
        assert_eq!(dot_stuffed(b"a").as_deref(), Some(&b"a\r\n.\r\n"[..]));
        assert_eq!(dot_stuffed(b"").as_deref(), Some(&b"\r\n.\r\n"[..]));
    }

    #[test]
    fn a_line_break_that_is_none_is_refused() {
        for bad in [
            &b"a\n.\r\nMAIL FROM:<x>"[..],
            b"a\r.\rb",
            b"a\r\n.\nb",
            b"\na",
            b"a\r",
            b"a\r\r\nb",
            b"a\0b",
            "ü".as_bytes(),
        ] {
            assert_eq!(dot_stuffed(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn the_end_comes_once_and_at_the_end(message in prop::collection::vec(prop::sample::select(b"\r\n.ab".to_vec()), 0..60)) {
            if let Some(wire) = dot_stuffed(&message) {
                let ends: Vec<usize> = wire.windows(5).enumerate().filter(|(_, w)| w == b"\r\n.\r\n").map(|(at, _)| at).collect();
                prop_assert!(ends == [wire.len() - 5] || wire == b".\r\n");
                prop_assert!(!wire.starts_with(b".\r\n"));
            }
        }
    }
}
