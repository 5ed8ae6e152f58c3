//! Reads a letter: headers, the text part and the HTML part.
//!
//! Knows as much of MIME as mail programs write today: multipart, quoted-printable, base64, encoded words, UTF-8 and
//! Latin-1. Anything else is shown as it came. Hostile letters cost no more than their size.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How deep parts may be nested.
const DEPTH_MAX: u32 = 8;

/// A letter, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The headers in their order, unfolded and decoded.
    pub headers: Vec<(String, String)>,
    /// The first `text/plain` part, its lines ended by a line feed alone.
    pub text: Option<String>,
    /// The first `text/html` part, likewise.
    pub html: Option<String>,
}

impl Parsed {
    /// The first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Reads a whole letter.
#[must_use]
pub fn parse(raw: &[u8]) -> Parsed {
    let (headers, body) = split(raw);
    let mut parsed = Parsed::default();
    part(&headers, body, 0, &mut parsed);
    parsed.headers = headers.into_iter().map(|(name, value)| (name, decode_words(&value))).collect();
    parsed
}

/// The headers, unfolded, and the body behind the empty line.
fn split(raw: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = raw;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim_start());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    (headers, rest)
}

fn part(headers: &[(String, String)], body: &[u8], depth: u32, parsed: &mut Parsed) {
    let content_type = find(headers, "Content-Type").unwrap_or("text/plain; charset=utf-8");
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.starts_with("multipart/") {
        if let Some(boundary) = parameter(content_type, "boundary").filter(|_| depth < DEPTH_MAX) {
            for inner in parts(body, &boundary) {
                let (headers, body) = split(inner);
                part(&headers, body, depth + 1, parsed);
            }
        }
        return;
    }
    let slot = match kind.as_str() {
        "text/plain" => &mut parsed.text,
        "text/html" => &mut parsed.html,
        _ => return,
    };
    if slot.is_none() {
        let encoding = find(headers, "Content-Transfer-Encoding").unwrap_or_default().to_ascii_lowercase();
        let bytes = match encoding.as_str() {
            "quoted-printable" => quoted_printable(body),
            "base64" => base64(body),
            _ => body.to_vec(),
        };
        let charset = parameter(content_type, "charset").unwrap_or_default();
        *slot = Some(text_of(&bytes, &charset).replace("\r\n", "\n"));
    }
}

/// A parameter of a header such as `multipart/mixed; boundary="x"`.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// What stands between the boundary's lines.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let mark = format!("--{boundary}");
    let mut found = Vec::new();
    let mut begun = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.trim_ascii_end();
        if bare.starts_with(mark.as_bytes()) {
            let tail = &bare[mark.len()..];
            if let Some(from) = begun.filter(|_| tail.is_empty() || tail == b"--") {
                found.push(without_last_end(&body[from..at]));
            }
            begun = tail.is_empty().then_some(at + line.len());
            if tail == b"--" {
                return found;
            }
        }
        at += line.len();
    }
    if let Some(from) = begun.filter(|from| *from <= body.len()) {
        found.push(&body[from..]);
    }
    found
}

/// The line end before a boundary belongs to the boundary.
fn without_last_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.trim_ascii_end();
        if let Some(soft) = bare.strip_suffix(b"=") {
            unhex(soft, b'=', &mut out);
        } else {
            unhex(bare, b'=', &mut out);
            if line.ends_with(b"\n") {
                out.push(b'\n');
            }
        }
    }
    out
}

/// Puts `=41` back as `A`; what is no such pair stays.
fn unhex(bytes: &[u8], mark: u8, out: &mut Vec<u8>) {
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at] == mark).then(|| bytes.get(at + 1..at + 3)).flatten();
        let value =
            pair.and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        if let Some(value) = value {
            out.push(value);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
}

fn base64(body: &[u8]) -> Vec<u8> {
    let dense: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(&dense).unwrap_or(dense)
}

fn text_of(bytes: &[u8], charset: &str) -> String {
    match charset.to_ascii_lowercase().as_str() {
        "iso-8859-1" | "windows-1252" => bytes.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Decodes `=?utf-8?q?..?=` and `=?utf-8?b?..?=` (RFC 2047). Space between two of them is not shown.
fn decode_words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        if let Some((word, behind)) = word(from) {
            out.push_str(&word);
            rest = behind;
            after_word = true;
        } else {
            out.push_str("=?");
            rest = &from[2..];
            after_word = false;
        }
    }
    out.push_str(rest);
    out
}

fn word(from: &str) -> Option<(String, &str)> {
    let (charset, from) = from[2..].split_once('?')?;
    let (encoding, from) = from.split_once('?')?;
    let (text, behind) = from.split_once("?=")?;
    let bytes = match encoding {
        "b" | "B" => STANDARD.decode(text).ok()?,
        "q" | "Q" => {
            let mut bytes = Vec::new();
            unhex(text.replace('_', " ").as_bytes(), b'=', &mut bytes);
            bytes
        }
        _ => return None,
    };
    Some((text_of(&bytes, charset), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_and_the_subject_are_decoded() {
        let raw = b"Subject: =?utf-8?b?QsOk?= =?utf-8?q?nk_=C3=A9?= ok\r\nTo: a@b.example,\r\n c@d.example\r\n\
            Content-Type: multipart/alternative;\r\n boundary=\"xx\"\r\n\r\npreamble\r\n--xx\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            Gr=C3=BC=C3=9Fe =\r\nan alle\r\n--xx\r\nContent-Type: text/html; charset=utf-8\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nPHA+aGk8L3A+\r\n--xx--\r\nepilogue";
        let parsed = parse(raw);
        assert_eq!(parsed.header("subject"), Some("B\u{e4}nk \u{e9} ok"));
        assert_eq!(parsed.header("to"), Some("a@b.example, c@d.example"));
        assert_eq!(parsed.text.as_deref(), Some("Gr\u{fc}\u{df}e an alle"));
        assert_eq!(parsed.html.as_deref(), Some("<p>hi</p>"));
    }

    #[test]
    fn parts_may_be_nested_or_cut_off() {
        let raw =
            b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n\
            --b\nContent-Type: text/plain\n\ninner\n--b--\n--a\nContent-Type: text/html\n\n<b>cut";
        let parsed = parse(raw);
        assert_eq!((parsed.text.as_deref(), parsed.html.as_deref()), (Some("inner"), Some("<b>cut")));
    }

    #[test]
    fn nonsense_is_read_without_a_panic() {
        for raw in
            ["", "\n", "a", ":\n\n", "=?", "Subject: =?x?q?=?=\n\n", "Content-Type: multipart/x; boundary=\n\n--\n--"]
        {
            let _ = parse(raw.as_bytes());
        }
        let deep = "Content-Type: multipart/a; boundary=a\n\n--a\n".repeat(1000);
        let _ = parse(deep.as_bytes());
        assert_eq!(parse(b"Subject: =?utf-8?q?=4?=\n\n").header("subject"), Some("=4"));
    }
}
