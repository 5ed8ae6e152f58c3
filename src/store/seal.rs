//! Sealing: what nobody may read who has the file alone.
//!
//! AES-256-GCM with a random nonce; the associated data names table, column and row, so that a sealed value opens nowhere
//! else. Each value begins with the id of its key, a prefix of a hash: `data_key` seals, the old ones still open. Keys for
//! links and for finding addresses are derived from the same secrets; they outlive the key that they come from, since a
//! letter cannot be written again (`data_keys` keeps them).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use super::error::StoreError;

const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const MAC_KEY_BYTES: usize = 32;

/// How long after a key was replaced a link made with it is still believed to be of before: clocks are set, too.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(1);

/// Names a key without telling it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// Which key sealed a value; nothing if that is no sealed value.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Option<Self> {
        sealed.first_chunk().map(|id| Self(*id))
    }

    /// As sealed values begin.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a sealed value stands. It opens only there.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row's id.
    pub row: &'a str,
}

impl Place<'_> {
    fn associated_data(&self) -> Aad<String> {
        // Table and column are constants without a slash, so no two places have the same text.
        Aad::from(format!("{}/{}/{}", self.table, self.column, self.row))
    }

    fn closed(&self) -> StoreError {
        StoreError::Sealed { table: self.table, row: self.row.to_owned(), column: self.column }
    }
}

/// Seals and opens, makes links and finds addresses.
pub struct Sealer {
    /// The first seals; all open.
    keys: Vec<DerivedKeys>,
    /// What is left of keys that are not configured any more.
    inherited: Vec<MacKeys>,
}

struct DerivedKeys {
    id: KeyId,
    seal: RandomizedNonceKey,
    mac_key_bytes: [u8; 2 * MAC_KEY_BYTES],
    macs: MacKeys,
}

/// What links are made with, and what secrets are found by.
struct MacKeys {
    id: KeyId,
    link: hmac::Key,
    lookup: hmac::Key,
    /// When another key took over: links made later were not made with this one.
    until: Option<Timestamp>,
}

impl MacKeys {
    fn new(id: KeyId, bytes: &[u8; 2 * MAC_KEY_BYTES], until: Option<Timestamp>) -> Self {
        let (link, lookup) = bytes.split_at(MAC_KEY_BYTES);
        let key = |bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        Self { id, link: key(link), lookup: key(lookup), until }
    }

    fn lookup(&self, purpose: &str, secret: &str) -> Vec<u8> {
        hmac::sign(&self.lookup, format!("{purpose}/{secret}").as_bytes()).as_ref().to_vec()
    }

    fn link(&self, purpose: &str, id: &str) -> hmac::Tag {
        hmac::sign(&self.link, format!("{purpose}/{id}").as_bytes())
    }
}

/// A link whose token is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenuineLink<'a> {
    /// The link's id.
    pub id: &'a str,
    /// It was made before this moment, or it is forged with a key that was replaced then.
    pub made_before: Option<Timestamp>,
}

impl DerivedKeys {
    fn new(data_key: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, data_key);
        let derive = |purpose: &str| hmac::sign(&root, format!("relinkd/1/{purpose}").as_bytes());
        let hash = digest::digest(&digest::SHA256, derive("key id").as_ref());
        let id = KeyId::of(hash.as_ref()).expect("SHA-256 has 32 bytes");
        let seal = RandomizedNonceKey::new(&AES_256_GCM, derive("seal").as_ref()).expect("HMAC-SHA-256 gives 32 bytes");
        let mut mac_key_bytes = [0; 2 * MAC_KEY_BYTES];
        mac_key_bytes[..MAC_KEY_BYTES].copy_from_slice(derive("link").as_ref());
        mac_key_bytes[MAC_KEY_BYTES..].copy_from_slice(derive("lookup").as_ref());
        Self { id, seal, macs: MacKeys::new(id, &mac_key_bytes, None), mac_key_bytes }
    }
}

impl Sealer {
    /// A sealer: `data_key` seals, it and the old ones open.
    #[must_use]
    pub fn new(data_key: &[u8; 32], old: &[[u8; 32]]) -> Self {
        let keys = std::iter::once(data_key).chain(old).map(DerivedKeys::new).collect();
        Self { keys, inherited: Vec::new() }
    }

    /// The key that seals.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.current().id
    }

    /// All keys that open, the one that seals first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|key| key.id)
    }

    /// What has to be kept of a key so that its links work without it.
    #[must_use]
    pub fn heritage(&self, id: KeyId) -> Option<&[u8]> {
        self.keys.iter().find(|key| key.id == id).map(|key| &key.mac_key_bytes[..])
    }

    /// Takes over what was kept of a key that sealed until some moment. Says whether it is a heritage at all.
    pub fn inherit(&mut self, id: KeyId, heritage: &[u8], until: Timestamp) -> bool {
        let until = Some(super::later(until, CLOCK_SLACK));
        if let Some(known) = self.keys.iter_mut().find(|key| key.id == id) {
            known.macs.until = until;
            return true;
        }
        let Ok(bytes) = heritage.try_into() else { return false };
        self.inherited.push(MacKeys::new(id, bytes, until));
        true
    }

    fn macs(&self) -> impl Iterator<Item = &MacKeys> {
        self.keys.iter().map(|key| &key.macs).chain(&self.inherited)
    }

    fn current(&self) -> &DerivedKeys {
        &self.keys[0]
    }

    /// Seals a value for one place.
    ///
    /// # Panics
    /// If the system gives no randomness: then nothing may be written at all.
    #[must_use]
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Vec<u8> {
        let key = self.current();
        let mut text = plain.to_vec();
        let nonce = key
            .seal
            .seal_in_place_append_tag(place.associated_data(), &mut text)
            .expect("AES-GCM seals everything below 64 GiB");
        let nonce: &[u8; NONCE_BYTES] = nonce.as_ref();
        [key.id.bytes(), nonce, &text].concat()
    }

    /// Opens a value that was sealed for this place.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if no configured key opens it there.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (id, rest) = sealed.split_first_chunk().ok_or_else(|| place.closed())?;
        let (nonce, text) = rest.split_at_checked(NONCE_BYTES).ok_or_else(|| place.closed())?;
        let key = self.keys.iter().find(|key| key.id.0 == *id).ok_or_else(|| place.closed())?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| place.closed())?;
        let mut text = text.to_vec();
        let length =
            key.seal.open_in_place(nonce, place.associated_data(), &mut text).map_err(|_| place.closed())?.len();
        text.truncate(length);
        Ok(text)
    }

    /// Opens a text that was sealed for this place.
    ///
    /// # Errors
    /// As [`Sealer::open`].
    pub fn open_text(&self, place: Place<'_>, sealed: &[u8]) -> Result<String, StoreError> {
        String::from_utf8(self.open(place, sealed)?).map_err(|_| place.closed())
    }

    /// The same value sealed with the present key; nothing if it is already.
    ///
    /// # Errors
    /// As [`Sealer::open`].
    pub fn seal_anew(&self, place: Place<'_>, sealed: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if KeyId::of(sealed) == Some(self.key_id()) {
            return Ok(None);
        }
        Ok(Some(self.seal(place, &self.open(place, sealed)?)))
    }

    /// What a secret is found by without being stored: an address, a Link token.
    #[must_use]
    pub fn lookup(&self, purpose: &str, secret: &str) -> Vec<u8> {
        self.current().macs.lookup(purpose, secret)
    }

    /// The same under every key: what was written before the key changed is found too.
    pub fn lookups(&self, purpose: &str, secret: &str) -> impl Iterator<Item = Vec<u8>> {
        self.macs().map(move |macs| macs.lookup(purpose, secret))
    }

    /// The same under every key, each after the id of its key: equal ones were made of the same secret.
    pub fn fingerprints(&self, purpose: &str, secret: &str) -> impl Iterator<Item = Vec<u8>> {
        self.macs().map(move |macs| [macs.id.bytes(), &macs.lookup(purpose, secret)].concat())
    }

    /// The keys under which fingerprints are made, the one that seals first.
    pub fn fingerprint_keys(&self) -> impl Iterator<Item = KeyId> {
        self.macs().map(|macs| macs.id)
    }

    /// The token `id.mac` for a link's id and one purpose ("repair", "stop").
    #[must_use]
    pub fn link_token(&self, purpose: &str, id: &str) -> String {
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(self.current().macs.link(purpose, id)))
    }

    /// The link of a token, if the token was made here for this purpose. Compares in constant time.
    #[must_use]
    pub fn link<'a>(&self, purpose: &str, token: &'a str) -> Option<GenuineLink<'a>> {
        let (id, mac) = token.split_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        let made =
            |macs: &&MacKeys| constant_time::verify_slices_are_equal(macs.link(purpose, id).as_ref(), &mac).is_ok();
        self.macs().find(made).map(|macs| GenuineLink { id, made_before: macs.until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { table: "items", column: "access_token", row: "item-1" };

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&[byte; 32], &[])
    }

    #[test]
    fn opens_where_it_was_sealed_and_nowhere_else() {
        let sealer = sealer(1);
        let sealed = sealer.seal(PLACE, b"access-sandbox-1");
        assert_eq!(sealer.open(PLACE, &sealed).unwrap(), b"access-sandbox-1");
        for other in
            [Place { row: "item-2", ..PLACE }, Place { column: "contact", ..PLACE }, Place { table: "users", ..PLACE }]
        {
            assert!(matches!(sealer.open(other, &sealed), Err(StoreError::Sealed { .. })), "{other:?}");
        }
        assert!(!sealed.windows(6).any(|part| part == b"access"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealer = sealer(1);
        let sealed = sealer.seal(PLACE, b"secret");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open(PLACE, &changed).is_err(), "byte {at}");
            assert!(sealer.open(PLACE, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_old_key_still_opens_and_another_does_not() {
        let sealed = sealer(1).seal(PLACE, b"secret");
        assert_eq!(Sealer::new(&[2; 32], &[[1; 32]]).open(PLACE, &sealed).unwrap(), b"secret");
        assert!(sealer(2).open(PLACE, &sealed).is_err());
    }

    #[test]
    fn a_link_is_bound_to_its_purpose_and_its_key() {
        let sealer = sealer(1);
        let token = sealer.link_token("repair", "abc");
        let genuine = Some(GenuineLink { id: "abc", made_before: None });
        assert_eq!(sealer.link("repair", &token), genuine);
        assert_eq!(sealer.link("stop", &token), None);
        assert_eq!(sealer.link("repair", &token.replace("abc", "abd")), None);
        assert_eq!(sealer.link("repair", "abc"), None);
        assert_eq!(sealer.link("repair", "abc."), None);
        assert_eq!(self::sealer(2).link("repair", &token), None);
        assert_eq!(Sealer::new(&[2; 32], &[[1; 32]]).link("repair", &token), genuine);
    }

    #[test]
    fn what_was_kept_of_a_key_knows_its_links_and_opens_nothing() {
        let (old, mut new) = (sealer(1), sealer(2));
        let (token, sealed) = (old.link_token("repair", "abc"), old.seal(PLACE, b"secret"));
        let until = Timestamp::from_second(1_795_000_000).unwrap();
        assert!(!new.inherit(old.key_id(), b"too short", until));
        assert!(new.inherit(old.key_id(), old.heritage(old.key_id()).unwrap(), until));
        let link = new.link("repair", &token).unwrap();
        assert_eq!(link, GenuineLink { id: "abc", made_before: Some(until + CLOCK_SLACK) });
        assert!(
            new.lookups("address", "user@example.com").any(|hmac| hmac == old.lookup("address", "user@example.com"))
        );
        assert!(new.open(PLACE, &sealed).is_err());
        assert_eq!(new.link("repair", &new.link_token("repair", "abc")).unwrap().made_before, None);
    }

    #[test]
    fn sealing_anew_changes_the_key_and_not_the_value() {
        let both = Sealer::new(&[2; 32], &[[1; 32]]);
        let sealed = sealer(1).seal(PLACE, b"secret");
        let anew = both.seal_anew(PLACE, &sealed).unwrap().unwrap();
        assert_eq!(KeyId::of(&anew), Some(both.key_id()));
        assert_eq!(sealer(2).open(PLACE, &anew).unwrap(), b"secret");
        assert_eq!(both.seal_anew(PLACE, &anew).unwrap(), None);
        assert!(sealer(3).seal_anew(PLACE, &sealed).is_err());
    }
}
