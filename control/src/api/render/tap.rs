//! Single packets for people: a line for a copy, a paragraph for a path.

use crate::api::reply::{SeenPacket, SeenStep};

/// A packet.
pub fn packet(packet: &SeenPacket) -> String {
    match packet.side.is_empty() {
        true => path(packet),
        false => format!(
            "{} {} {}, {} octets; {}",
            direction(packet),
            packet.side,
            packet.flow,
            packet.length,
            facts(packet)
        ),
    }
}

const fn direction(packet: &SeenPacket) -> &'static str {
    if packet.outbound { "out" } else { "in " }
}

/// What a capture file says of a packet in its comment.
pub fn facts(packet: &SeenPacket) -> String {
    let SeenPacket { verdict, spi, sequence, worker, tunnel, .. } = packet;
    let mut facts = format!("verdict={}", verdict.replace(' ', ":"));
    spi.iter().for_each(|spi| facts += &format!(" spi={spi}"));
    sequence.iter().for_each(|sequence| facts += &format!(" sequence={sequence}"));
    facts += &format!(" worker={worker}");
    if !tunnel.is_empty() {
        facts += &format!(" tunnel={tunnel}");
    }
    facts
}

fn path(packet: &SeenPacket) -> String {
    let first = packet.steps.first().map_or(0, |step| step.octets);
    let head = format!("{}, {} octets, then {}; {}", packet.flow, first, packet.length, facts(packet));
    packet.steps.iter().fold(head, |text, step| text + "\n    " + &self::step(step))
}

fn step(step: &SeenStep) -> String {
    let SeenStep { node, octets, interface, instance } = step;
    let at = match node.as_str() {
        "received" => format!("from {interface}"),
        "sent" => format!("by {interface}"),
        _ => format!("instance {instance}"),
    };
    format!("{node:<10} {octets:>5} octets, {at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_stations_and_a_copy_fits_a_line() {
        let step = |node: &str, octets| SeenStep {
            node: node.into(),
            octets,
            interface: "lan".into(),
            instance: "red".into(),
        };
        let mut seen = SeenPacket {
            verdict: "drop no-sa".into(),
            tunnel: "branch".into(),
            flow: "10.1.0.9 to 10.2.0.9, udp 1 to 2".into(),
            length: 84,
            steps: vec![step("received", 98), step("policy", 84), step("dropped", 84)],
            ..SeenPacket::default()
        };
        let text = packet(&seen);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(
            text.contains("verdict=drop:no-sa worker=0 tunnel=branch") && text.contains("from lan"),
            "{text}"
        );
        (seen.side, seen.spi, seen.sequence) = ("clear".into(), Some("0x04000001".into()), Some(7));
        let line = packet(&seen);
        assert!(line.lines().count() == 1 && line.contains("spi=0x04000001 sequence=7"), "{line}");
    }
}
