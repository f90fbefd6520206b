//! `backup-remotes` of a tunnel: where its peer is called when nobody answers at `remote`. One peer, with one identity, at
//! several addresses; or several that prove the same one.

use std::net::IpAddr;

use super::raw;
use super::tunnel::One;
use super::value;

/// With `remote` sixteen.
const MOST: usize = 15;

impl One<'_, '_, '_> {
    /// In the order in which they are tried.
    pub(super) fn backup_remotes(
        &mut self,
        raw: &raw::Tunnel,
        (local, remote): (IpAddr, Option<IpAddr>),
    ) -> Vec<IpAddr> {
        let Some(first) = raw.backup_remotes.first() else { return Vec::new() };
        let at = first.span().start;
        let unfit = [
            (remote.is_none(), "remote = \"any\"", "remote = \"ADDRESS\""),
            (raw.remote_id.is_none(), "no remote-id", "remote-id: what the peer proves at each address"),
            (
                raw.mode.as_ref().is_some_and(|mode| mode.get_ref() == "transport"),
                "transport mode",
                "tunnel mode: transport is between two addresses",
            ),
        ];
        for (_, with, expected) in unfit.iter().filter(|(is_so, ..)| *is_so) {
            self.judge.refuse(at, &self.object, format!("backup-remotes with {with}"), *expected);
        }
        if raw.backup_remotes.len() > MOST {
            let found = format!("backup-remotes has {} addresses", raw.backup_remotes.len());
            self.judge.refuse(at, &self.object, found, format!("at most {MOST}"));
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for text in &raw.backup_remotes {
            let Some(address) = self.judge.value(&self.object, "backup-remotes", text, value::address) else {
                continue;
            };
            let at = text.span().start;
            if Some(address) == remote || addresses.contains(&address) {
                let found = format!("backup-remotes has {address}, which it has already");
                self.judge.refuse(at, &self.object, found, "each once");
            }
            if address.is_ipv4() != local.is_ipv4() {
                let found = format!("backup-remotes has {address}, and local is {local}");
                self.judge.refuse(at, &self.object, found, "addresses of one family");
            }
            if address == local || address.is_multicast() || address.is_unspecified() {
                let found = format!("backup-remotes has {address}, which is no peer's address");
                self.judge.refuse(at, &self.object, found, "a unicast address that is not ours");
            }
            addresses.push(address);
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ground::{interfaces, read, tunnel};
    use crate::config::plan::Keying;

    fn with(lines: &str) -> String {
        format!("{}{}{lines}\n", interfaces!(), tunnel!("net", 1))
    }

    #[test]
    fn they_are_tried_in_their_order() {
        let plan = read(&with("remote-id = \"a.example\"\nbackup-remotes = [\"192.0.2.9\", \"192.0.2.7\"]"))
            .unwrap();
        let Keying::Ike(ike) = &plan.tunnels["net"].keying else { panic!("by hand") };
        let expected = ["192.0.2.9", "192.0.2.7"].map(|text| text.parse::<std::net::IpAddr>().unwrap());
        assert_eq!(ike.backup_remotes, expected);
    }

    #[test]
    fn what_is_none_is_refused() {
        let sixteen = (10..26).map(|n| format!("\"192.0.2.{n}\",")).collect::<String>();
        let sixteen = format!("remote-id = \"a.example\"\nbackup-remotes = [{sixteen}]");
        for (lines, expected) in [
            ("backup-remotes = [\"192.0.2.9\"]", "remote-id: what the peer proves"),
            ("remote-id = \"a.example\"\nbackup-remotes = [\"192.0.2.1\"]", "each once"),
            ("remote-id = \"a.example\"\nbackup-remotes = [\"192.0.2.9\", \"192.0.2.9\"]", "each once"),
            ("remote-id = \"a.example\"\nbackup-remotes = [\"2001:db8::9\"]", "addresses of one family"),
            ("remote-id = \"a.example\"\nbackup-remotes = [\"192.0.2.2\"]", "no peer's address"),
            ("remote-id = \"a.example\"\nbackup-remotes = [\"gw.example\"]", "an IPv4 or IPv6 address"),
            (sixteen.as_str(), "at most 15"),
        ] {
            let refused = format!("{:?}", read(&with(lines)).unwrap_err());
            assert!(refused.contains(expected), "{lines}: wanted {expected}, got {refused}");
        }
        let any = with("remote-id = \"a.example\"\nbackup-remotes = [\"192.0.2.9\"]")
            .replace("\"192.0.2.1\"", "\"any\"");
        assert!(format!("{:?}", read(&any).unwrap_err()).contains("remote = \\\"ADDRESS\\\""));
    }
}
