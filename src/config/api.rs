//! `[[api.keys]]`: who may use the API.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use super::address::{line, word};
use super::section::{Section, Wrong};
use super::written::Written;

/// The shortest key, in characters: below that a key can be guessed.
const KEY_CHARS_MIN: usize = 32;

/// The longest key, in characters. It travels in a header.
const KEY_CHARS_MAX: usize = 512;

/// The longest name of a key, in characters. It stands in logs.
const NAME_CHARS_MAX: usize = 64;

/// Who may use the API.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What logs call the key. Unique.
    pub name: String,
    /// The SHA-256 of the key. The key itself is not kept.
    pub sha256: [u8; 32],
    /// What may be done with it.
    pub scope: Scope,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// What may be done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Look only.
    Read,
    /// Look and change.
    Write,
}

pub(super) fn read(written: &mut Written<'_>) -> Vec<ApiKey> {
    let mut keys = Vec::new();
    let mut names = BTreeMap::new();
    let mut digests = BTreeMap::new();
    for (index, place, table) in written.api_keys() {
        let mut section = written.api_key(index, place, table);
        let Some(key) = read_key(&mut section) else { continue };
        if let Some(other) = names.insert(key.name.clone(), index) {
            section
                .fault("name", Wrong::with_remedy(format!("is that of api.keys[{other}] too"), "Choose another one."));
        }
        if let Some(other) = digests.insert(key.sha256, index) {
            let problem = format!("has the same key as api.keys[{other}]");
            section.fault("name", Wrong::with_remedy(problem, "Make another key: `openssl rand -hex 32`."));
        }
        keys.push(key);
    }
    keys
}

fn read_key(section: &mut Section<'_, '_>) -> Option<ApiKey> {
    let name = section.required("name", line(NAME_CHARS_MAX));
    let has_key = section.has("key") || section.has("key_file");
    let sha256 = match (has_key, section.has("key_sha256")) {
        (true, true) => {
            section.fault("key_sha256", Wrong::with_remedy("is given although the key is", "Keep one of the two."));
            None
        }
        (false, true) => section.required("key_sha256", hexadecimal),
        (true | false, false) => section.required_secret("key", hashed),
    };
    let scope = section.required("scope", word(&[("read", Scope::Read), ("write", Scope::Write)]));
    Some(ApiKey { name: name?, sha256: sha256?, scope: scope? })
}

fn hashed(key: &str) -> Result<[u8; 32], Wrong> {
    if !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("holds a space, a line break or a character beyond ASCII, which no header can carry".into());
    }
    match key.len() {
        count if count < KEY_CHARS_MIN => {
            Err(format!("has {count} characters; at least {KEY_CHARS_MIN} are needed").into())
        }
        count if count > KEY_CHARS_MAX => {
            Err(format!("has {count} characters; at most {KEY_CHARS_MAX} are allowed").into())
        }
        _ => Ok(digest(&SHA256, key.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")),
    }
}

fn hexadecimal(text: &str) -> Result<[u8; 32], Wrong> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64).ok_or("is not made of 64 hexadecimal digits")?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::try_from(pair[0] * 16 + pair[1]).expect("two hexadecimal digits");
    }
    Ok(bytes)
}
