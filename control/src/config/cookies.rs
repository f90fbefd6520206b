//! When callers must show a cookie (IKE-19, RFC 7296 §2.6): a number of half-open IKE SAs, or never.

use ravelin_ike::config::HalfOpenLimits;
use toml::{Spanned, Value};

use super::resolve::Judge;

/// So many half-open IKE SAs are the most there are: beyond them nobody is heard.
const MOST: i64 = 8192;

/// Judges `cookie-threshold` of `[ike]`.
pub fn threshold(judge: &mut Judge<'_>, value: Option<&Spanned<Value>>) -> Option<usize> {
    let usual = HalfOpenLimits::default().cookie_threshold;
    let Some(value) = value else { return usual };
    match value.get_ref() {
        Value::Integer(number @ 0..=MOST) => usize::try_from(*number).ok(),
        Value::String(word) if word == "never" => None,
        other => {
            let found = format!("cookie-threshold = {other} is not valid");
            let expected = format!("0 to {MOST} half-open IKE SAs, or \"never\"");
            judge.refuse(value.span().start, "ike", found, expected);
            usual
        }
    }
}
