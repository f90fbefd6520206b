//! A secret on its way over the socket: wiped when dropped, never printed. JSON's reader hands a string without escapes on
//! as it made it, so no copy stays behind (what is sent here is base64 or a password; a password with `"` or `\\` in it
//! passes through the reader's own buffer).

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

/// The secret text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(Zeroizing::new(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Secret, E> {
        Ok(Secret(Zeroizing::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_over_and_is_not_printed() {
        let secret = Secret(Zeroizing::new("open sesame".into()));
        let line = serde_json::to_string(&secret).unwrap();
        assert_eq!(serde_json::from_str::<Secret>(&line).unwrap(), secret);
        assert_eq!(format!("{secret:?}"), "Secret");
        let refused = serde_json::from_str::<Secret>("[\"open sesame\"]").unwrap_err().to_string();
        assert!(!refused.contains("sesame"), "{refused}");
    }
}
