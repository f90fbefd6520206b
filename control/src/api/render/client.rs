//! Databases of clients for people, and which client would take a peer.

use super::{dash, table};
use crate::api::reply::{Client, ClientDb, Matched};

/// All databases, or one with its clients.
pub(super) fn databases(databases: &[ClientDb], clients: &[Client]) -> String {
    let header = ["CLIENT-DB", "ENABLED", "FALLBACK", "CLIENTS", "GATEWAYS"];
    let row = |database: &ClientDb| {
        vec![
            database.name.clone(),
            yes(database.enabled),
            yes(database.fallback),
            database.count.to_string(),
            dash(&database.gateways.join(",")),
        ]
    };
    let text = table(&header, databases.iter().map(row));
    if clients.is_empty() { text } else { format!("{text}\n\n{}", self::clients(clients)) }
}

fn clients(clients: &[Client]) -> String {
    let header = [
        "#",
        "CLIENT",
        "ENABLED",
        "REMOTE",
        "REMOTE-IDS",
        "PSK",
        "PRIVATE",
        "TEMPLATE",
        "TS-LIST",
        "TUNNELS",
    ];
    let any = |texts: &[String]| if texts.is_empty() { "any".to_owned() } else { texts.join(",") };
    let row = |client: &Client| {
        vec![
            client.number.to_string(),
            client.name.clone(),
            yes(client.enabled),
            any(&client.remote),
            any(&client.remote_ids),
            key(client).to_owned(),
            dash(&client.private_instance),
            dash(&client.tunnel_template),
            dash(&client.ts_list),
            client.tunnels.to_string(),
        ]
    };
    table(&header, clients.iter().map(row))
}

fn key(client: &Client) -> &'static str {
    match (client.psk, client.accept_certificate) {
        (true, true) => "own, or certificate",
        (true, false) => "own",
        (false, _) => "-",
    }
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "NO" }.to_owned()
}

/// What would become of a peer.
pub(super) fn matched(matched: &Matched) -> String {
    let Matched { client_db, address, identity, reason, .. } = matched;
    let who = format!("{identity} at {address}");
    match (&matched.client, matched.outcome.as_str()) {
        (Some(client), _) => {
            let text = format!("{who} is client {:?}, number {} of {client_db}", client.name, client.number);
            format!("{text}\n\n{}", clients(std::slice::from_ref(client)))
        }
        (None, "fallback") => format!("{who} is no client, and met as its gateway alone would: {reason}"),
        (None, _) => format!("{who} is refused: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client is shown with its place; what it leaves to its gateway is a dash, and what it does not compare is any.
    #[test]
    fn clients_are_shown_in_their_order() {
        let database = ClientDb { name: "branches".into(), enabled: true, count: 1, ..ClientDb::default() };
        let client = Client { number: 7, name: "zurich".into(), psk: true, ..Client::default() };
        let short = databases(std::slice::from_ref(&database), &[]);
        assert_eq!(short.lines().count(), 2);
        let long = databases(&[database], std::slice::from_ref(&client));
        assert!(long.contains("zurich") && long.contains("any") && long.contains("own"), "{long}");
        let found = Matched {
            client_db: "branches".into(),
            address: "192.0.2.1".into(),
            identity: "a.example".into(),
            outcome: "client".into(),
            client: Some(client),
            ..Matched::default()
        };
        let text = matched(&found);
        assert!(
            text.starts_with("a.example at 192.0.2.1 is client \"zurich\", number 7 of branches"),
            "{text}"
        );
        let reason = String::from("no one client both");
        let refused = Matched { client: None, outcome: "refused".into(), reason, ..found };
        assert_eq!(matched(&refused), "a.example at 192.0.2.1 is refused: no one client both");
    }
}
