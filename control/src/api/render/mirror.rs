//! Mirrors for people: a row each.

use super::table;
use crate::api::reply::MirrorRow;

/// All of them.
pub(super) fn mirrors(mirrors: &[MirrorRow]) -> String {
    let header = ["MIRROR", "STATE", "OF", "SIDE", "DIRECTION", "TO", "PACKETS", "BYTES", "LOST"];
    table(&header, mirrors.iter().map(row))
}

fn row(mirror: &MirrorRow) -> Vec<String> {
    let MirrorRow { name, state, side, direction, to, packets, bytes, lost, .. } = mirror;
    let of = [("tunnel", &mirror.tunnel), ("interface", &mirror.interface), ("host", &mirror.host)];
    let of: Vec<_> =
        of.iter().filter(|(_, name)| !name.is_empty()).map(|(what, name)| format!("{what} {name}")).collect();
    let of = if of.is_empty() { "all".to_owned() } else { of.join(", ") };
    let (packets, bytes, lost) = (packets.to_string(), bytes.to_string(), lost.to_string());
    vec![name.clone(), state.clone(), of, side.clone(), direction.clone(), to.clone(), packets, bytes, lost]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_of_what_and_to_where() {
        let mirror =
            MirrorRow { name: "one".into(), tunnel: "branch".into(), lost: 3, ..MirrorRow::default() };
        let text = mirrors(&[mirror, MirrorRow::default()]);
        assert!(
            text.contains("tunnel branch") && text.lines().nth(2).is_some_and(|row| row.contains("all")),
            "{text}"
        );
    }
}
