//! What a stranger wrote, made fit for a terminal: control characters and those that turn the direction of writing come
//! out as the octets of their UTF-8, `\1b` and so on (RFC 4514 §2.4's way), because they could rewrite what an operator
//! reads.

use std::fmt;

/// Writes one character, or its octets.
pub(super) fn write_character(character: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !is_harmful(character) {
        return write!(f, "{character}");
    }
    let mut octets = [0; 4];
    character.encode_utf8(&mut octets).bytes().try_for_each(|octet| write!(f, "\\{octet:02x}"))
}

/// Writes a text so.
pub(super) fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.chars().try_for_each(|character| write_character(character, f))
}

/// Controls, line and paragraph separators, marks of direction (Unicode UAX #9) and the byte order mark.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
