//! The names by which things are known: Items, users, institutions, accounts, letters, repair sessions.
//!
//! An id is parsed once, at the door; behind it nobody checks again. Plaid promises neither the length nor the alphabet of
//! its ids, so only what would be dangerous to carry on is refused. All ids are case-sensitive.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest id that is accepted, in bytes. Plaid's own are below 64; the limit only keeps a hostile webhook small.
pub const ID_BYTES_MAX: usize = 256;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It is longer than [`ID_BYTES_MAX`].
    #[error("is longer than {ID_BYTES_MAX} bytes")]
    TooLong,
    /// It holds a space, a control character or a slash, which no address or log line could carry.
    #[error("holds a space, a control character or a slash")]
    Character,
    /// A user id that looks like an address: Plaid forbids it, and logs would show it.
    #[error("holds an @: Plaid refuses addresses as client_user_id, and logs would show them")]
    LooksLikeAddress,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong);
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/') {
        return Err(IdError::Character);
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $also:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses an id.
            ///
            /// # Errors
            /// [`IdError`] says what is wrong with the text.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check(&text)?;
                let also: fn(&str) -> Result<(), IdError> = $also;
                also(&text)?;
                Ok(Self(text))
            }

            /// The id as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

text_id!(
    /// Plaid's name for one login at one bank.
    ItemId,
    |_| Ok(())
);
text_id!(
    /// The application's name for an end user: Plaid's `client_user_id`.
    UserId,
    |text| if text.contains('@') { Err(IdError::LooksLikeAddress) } else { Ok(()) }
);
text_id!(
    /// Plaid's name for a bank, such as `ins_109508`.
    InstitutionId,
    |_| Ok(())
);
text_id!(
    /// Plaid's name for one account of an Item.
    AccountId,
    |_| Ok(())
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// One letter. Its Message-ID is made from it.
    LetterId
);
uuid_id!(
    /// One press of the repair button: one Link token, one Item.
    SessionId
);

/// A bank as it is shown to people. The name comes from the bank: untrusted text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Institution {
    /// Plaid's id of it.
    pub id: InstitutionId,
    /// Its name, where it is known.
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_case_and_refuse_what_no_address_can_carry() {
        assert_eq!(ItemId::parse("wz666MBj").map(String::from), Ok("wz666MBj".to_owned()));
        assert_eq!(ItemId::parse(""), Err(IdError::Empty));
        assert_eq!(ItemId::parse("a".repeat(257)), Err(IdError::TooLong));
        for bad in ["a b", "a\nb", "a/b", "\u{0}"] {
            assert_eq!(ItemId::parse(bad), Err(IdError::Character), "{bad:?}");
        }
    }

    #[test]
    fn a_user_id_is_no_address() {
        assert_eq!(UserId::parse("ann@bank.example"), Err(IdError::LooksLikeAddress));
        assert!(UserId::parse("user-17").is_ok());
    }
}
