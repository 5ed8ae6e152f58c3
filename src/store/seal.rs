//! Sealing: what nobody may read who has the file alone.
//!
//! AES-256-GCM with a random nonce; the associated data names table, column and row, so that a sealed value opens nowhere
//! else. Each value begins with the id of its key, a prefix of a hash: `data_key` seals, the old ones still open. Keys for
//! links and for finding addresses are derived from the same secrets.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::StoreError;

const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;

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
}

struct DerivedKeys {
    id: [u8; KEY_ID_BYTES],
    seal: RandomizedNonceKey,
    link: hmac::Key,
    lookup: hmac::Key,
}

impl DerivedKeys {
    fn new(data_key: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, data_key);
        let derive = |purpose: &str| hmac::sign(&root, format!("relinkd/1/{purpose}").as_bytes());
        let hash = digest::digest(&digest::SHA256, derive("key id").as_ref());
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&hash.as_ref()[..KEY_ID_BYTES]);
        let seal = RandomizedNonceKey::new(&AES_256_GCM, derive("seal").as_ref()).expect("HMAC-SHA-256 gives 32 bytes");
        let key = |purpose| hmac::Key::new(hmac::HMAC_SHA256, derive(purpose).as_ref());
        Self { id, seal, link: key("link"), lookup: key("lookup") }
    }
}

impl Sealer {
    /// A sealer: `data_key` seals, it and the old ones open.
    #[must_use]
    pub fn new(data_key: &[u8; 32], old: &[[u8; 32]]) -> Self {
        Self { keys: std::iter::once(data_key).chain(old).map(DerivedKeys::new).collect() }
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
        [&key.id[..], nonce, &text].concat()
    }

    /// Opens a value that was sealed for this place.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if no configured key opens it there.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (id, rest) = sealed.split_at_checked(KEY_ID_BYTES).ok_or_else(|| place.closed())?;
        let (nonce, text) = rest.split_at_checked(NONCE_BYTES).ok_or_else(|| place.closed())?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or_else(|| place.closed())?;
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

    /// What a secret is found by without being stored: an address, a Link token.
    #[must_use]
    pub fn lookup(&self, purpose: &str, secret: &str) -> Vec<u8> {
        Self::lookup_with(self.current(), purpose, secret)
    }

    /// The same under every key: what was written before the key changed is found too.
    pub fn lookups(&self, purpose: &str, secret: &str) -> impl Iterator<Item = Vec<u8>> {
        self.keys.iter().map(move |key| Self::lookup_with(key, purpose, secret))
    }

    /// The same under every key, each after the id of its key: equal ones were made of the same secret.
    pub fn fingerprints(&self, purpose: &str, secret: &str) -> impl Iterator<Item = Vec<u8>> {
        self.keys.iter().map(move |key| [&key.id[..], &Self::lookup_with(key, purpose, secret)].concat())
    }

    /// The ids of the keys, the one that seals first.
    pub fn key_ids(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(|key| &key.id[..])
    }

    fn lookup_with(key: &DerivedKeys, purpose: &str, secret: &str) -> Vec<u8> {
        hmac::sign(&key.lookup, format!("{purpose}/{secret}").as_bytes()).as_ref().to_vec()
    }

    /// The token `id.mac` for a link's id and one purpose ("repair", "stop").
    #[must_use]
    pub fn link_token(&self, purpose: &str, id: &str) -> String {
        let mac = hmac::sign(&self.current().link, format!("{purpose}/{id}").as_bytes());
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// The id in a token, if the token was made here for this purpose. Compares in constant time.
    #[must_use]
    pub fn link_id<'a>(&self, purpose: &str, token: &'a str) -> Option<&'a str> {
        let (id, mac) = token.split_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        let ours = |key: &DerivedKeys| hmac::sign(&key.link, format!("{purpose}/{id}").as_bytes());
        self.keys
            .iter()
            .any(|key| constant_time::verify_slices_are_equal(ours(key).as_ref(), &mac).is_ok())
            .then_some(id)
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
        assert_eq!(sealer.link_id("repair", &token), Some("abc"));
        assert_eq!(sealer.link_id("stop", &token), None);
        assert_eq!(sealer.link_id("repair", &token.replace("abc", "abd")), None);
        assert_eq!(sealer.link_id("repair", "abc"), None);
        assert_eq!(sealer.link_id("repair", "abc."), None);
        assert_eq!(self::sealer(2).link_id("repair", &token), None);
        assert_eq!(Sealer::new(&[2; 32], &[[1; 32]]).link_id("repair", &token), Some("abc"));
    }
}
