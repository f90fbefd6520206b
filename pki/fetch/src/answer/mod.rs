//! What servers say, read. Pure: octets in, values out; whatever a server sends, nothing here stumbles over it or keeps
//! more of it than it was told to.
//!
//! Only the protocols that are our own: those of libraries are theirs to read.

pub mod ldap;
pub mod tftp;

use crate::error::{FetchError, Size};

/// Refuses so many octets above the cap.
pub(crate) fn check_size(octets: usize, cap: usize) -> Result<(), FetchError> {
    if octets <= cap {
        return Ok(());
    }
    Err(FetchError::TooLarge { announced: Size::AtLeast(octets.try_into().unwrap_or(u64::MAX)), cap })
}

/// A server's words for a person: one line, printable, short.
pub fn words(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    line.chars().filter(|character| !character.is_control()).take(120).collect::<String>().trim().to_owned()
}
