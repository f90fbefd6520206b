//! Words for algorithms that are not here, with what the RFCs say of them: an operator who writes one learns why it is
//! refused, not only that it is.

/// Keywords, and what is said of them.
const ABSENT: &[(&[&str], &str)] = &[
    (&["modp768", "modp1024s160"], "MUST NOT be used (RFC 8247 §2.4)"),
    (&["modp1536", "modp2048s224", "modp2048s256"], "SHOULD NOT be used (RFC 8247 §2.4)"),
    (&["aesxcbc", "prfaesxcbc"], "is what AES-CMAC has followed (RFC 4434, RFC 4615)"),
    (&["curve448", "x448"], "has no library that is kept and released"),
    (&["blowfish128", "cast128", "blowfish256"], "MUST NOT be used (RFC 8221 §5)"),
];

/// What is said of an algorithm that is known and not here.
pub(super) fn verdict(keyword: &str) -> Option<&'static str> {
    let named =
        |(keywords, _): &&(&[&str], _)| keywords.iter().any(|known| known.eq_ignore_ascii_case(keyword));
    ABSENT.iter().find(named).map(|(_, verdict)| *verdict)
}
