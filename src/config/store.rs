//! `[store]`: where the state lies, and the keys that seal it.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::section::{Section, Wrong};

/// How long a key is, in bytes: that of AES-256.
const KEY_BYTES: usize = 32;

/// Where the state lies, and the keys that seal it.
#[derive(Clone, Debug)]
pub struct Store {
    /// The SQLite file. A relative path was read from the folder of the configuration file.
    pub path: PathBuf,
    /// Seals and opens.
    pub data_key: DataKey,
    /// Only open what was sealed with them.
    pub data_keys_old: Vec<DataKey>,
}

/// A key that seals tokens, addresses and bodies. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey([u8; KEY_BYTES]);

impl DataKey {
    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let remedy = "Write what `openssl rand -base64 32` prints.";
        let wrong = |problem: &str| Wrong::with_remedy(problem, remedy);
        if text.is_empty() {
            return Err(wrong("is empty"));
        }
        let bytes = STANDARD.decode(text.trim()).map_err(|_| wrong("is no standard base64"))?;
        let count = bytes.len();
        let key: [u8; KEY_BYTES] =
            bytes.try_into().map_err(|_| wrong(&format!("has {count} bytes instead of {KEY_BYTES}")))?;
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(wrong("is the same byte over and over, so everybody can guess it"));
        }
        Ok(Self(key))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Store> {
    let path = file(section);
    let data_key = section.required_secret("data_key", DataKey::parse);
    let data_keys_old = section.secret_list("data_keys_old", DataKey::parse).unwrap_or_default();
    Some(Store { path: path?, data_key: data_key?, data_keys_old })
}

/// The SQLite file.
pub(super) fn file(section: &mut Section<'_, '_>) -> Option<PathBuf> {
    section.required("path", path).map(|path| section.beside_file(&path))
}

fn path(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.contains('\0') {
        return Err("holds a NUL, which no path can".into());
    }
    if text.ends_with('/') {
        return Err("names a folder, not a file".into());
    }
    Ok(text.to_owned())
}
