//! A secret as it stands in the file: wiped when dropped, never printed, and not repeated when it is of the
//! wrong type. What the TOML reader itself copies of the text is beyond reach; without escapes in the
//! string that is nothing.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use zeroize::Zeroizing;

/// The text of a key.
pub struct Hidden(Zeroizing<String>);

impl Hidden {
    /// The text, for whoever turns it into a key.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(Reader)
    }
}

struct Reader;

/// An unquoted key is a number to TOML; serde would repeat it in its refusal.
fn unquoted<T, E: Error>() -> Result<T, E> {
    Err(E::custom("a key that is no string, expected a string in quotes"))
}

impl Visitor<'_> for Reader {
    type Value = Hidden;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Hidden, E> {
        Ok(Hidden(Zeroizing::new(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Hidden, E> {
        Ok(Hidden(Zeroizing::new(text)))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Hidden, E> {
        unquoted()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Hidden, E> {
        unquoted()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Hidden, E> {
        unquoted()
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Hidden, E> {
        unquoted()
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Hidden, E> {
        unquoted()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Hidden, E> {
        unquoted()
    }
}
