//! A JSON object as its members, in order and with their values unread.
//!
//! Two readers need this. The signature must not mean different things to different readers, so members of the same name
//! are refused ([`Members::strict`]). A webhook must be readable whatever its fields are, so a field of the wrong type is
//! a field that is not there ([`Members::read`]). For `plaid` only.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why a text is no such object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MembersError {
    /// Not UTF-8, not JSON, not an object, or more behind it.
    NotAnObject,
    /// Two members of the same name.
    Duplicate,
}

/// The members of one JSON object.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object of which every member has a name of its own. Names inside of nested values are not looked at.
    ///
    /// For short texts: it takes quadratic time.
    pub(super) fn strict(json: &'a [u8]) -> Result<Self, MembersError> {
        let members = Self::read(json).ok_or(MembersError::NotAnObject)?;
        let doubled = |i: usize| members.0[..i].iter().any(|(name, _)| *name == members.0[i].0);
        if (1..members.0.len()).any(doubled) {
            return Err(MembersError::Duplicate);
        }
        Ok(members)
    }

    /// Reads any object. Of two members of the same name the first counts.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(json).ok()?;
        serde_json::from_str(text).ok()
    }

    /// An object without members.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// The value of that name as JSON text.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.get())
    }

    /// Whether there is a member of that name, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The value of that name where it is a string.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        serde_json::from_str::<Text<'a>>(self.raw(name)?).ok().map(|text| text.0)
    }
}

/// A string that is borrowed wherever it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(4);
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    members.push((name.0, map.next_value::<&'de RawValue>()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Self)
    }
}
