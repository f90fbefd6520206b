//! Names of stored objects: such that a name is a file's name and nothing else.

use std::fmt;
use std::str::FromStr;

/// Longest name.
const MAX: usize = 64;

/// Letters, digits, `-`, `_` and `.`, a letter or digit first; never a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName(String);

/// Not such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {MAX} letters, digits, '-', '_' and '.', and begins with a letter or digit")]
pub struct BadName;

impl ObjectName {
    /// The name of the certificate that came with this one as number `number`: `gw-2` and so on.
    ///
    /// # Errors
    /// When that would be too long.
    pub fn numbered(&self, number: usize) -> Result<Self, BadName> {
        if number <= 1 { Ok(self.clone()) } else { format!("{self}-{number}").parse() }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        let first = text.bytes().next().is_some_and(|octet| octet.is_ascii_alphanumeric());
        if first && text.len() <= MAX && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName)
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
