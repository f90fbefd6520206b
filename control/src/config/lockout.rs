//! Client lockout in a configuration (IKE-22, LIM-12): times are in minutes, as the documents of the trade have them.

use std::time::Duration;

use ravelin_ike::config::Lockout;
use toml::{Spanned, Value};

use super::raw;
use super::resolve::Judge;

/// A day.
const LONGEST_BLOCK: i64 = 1440;

/// Judges `lockout` of an ike-policy.
pub fn lockout(judge: &mut Judge<'_>, object: &str, raw: &raw::Lockout) -> Lockout {
    let mut number = |key, value: &Option<Spanned<u64>>, range, default| {
        judge.number(object, key, value.as_ref(), range, default)
    };
    let failed = number("lockout.failed-attempts", &raw.failed_attempts, 1..=64, 3);
    let duration = number("lockout.duration", &raw.duration, 1..=60, 5);
    let ports = number("lockout.max-port-per-ip", &raw.max_port_per_ip, 1..=32_000, 16);
    Lockout {
        failed_attempts: failed as u32,
        duration: minutes(duration),
        block: raw.block.as_ref().map_or(Lockout::default().block, |block| self::block(judge, object, block)),
        max_ports: ports as u32,
    }
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// So many minutes, or without end.
fn block(judge: &mut Judge<'_>, object: &str, value: &Spanned<Value>) -> Option<Duration> {
    match value.get_ref() {
        Value::Integer(number @ 1..=LONGEST_BLOCK) => Some(minutes(number.unsigned_abs())),
        Value::String(word) if word == "infinite" => None,
        other => {
            let found = format!("lockout.block = {other} is not valid");
            judge.refuse(
                value.span().start,
                object,
                found,
                format!("1 to {LONGEST_BLOCK} minutes, or \"infinite\""),
            );
            None
        }
    }
}
