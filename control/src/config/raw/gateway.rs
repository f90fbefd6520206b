//! Gateways as they are written, and what they name: clients, templates, lists of selectors.

use serde::Deserialize;
use toml::Spanned;

use super::{Packets, SecretText, Text};

/// `[gateway.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Gateway {
    /// Let peers in; default yes.
    pub enabled: Option<bool>,
    /// Name of the tunnel-group of its tunnels; default: that of all workers.
    pub tunnel_group: Option<Text>,
    /// Our outer address.
    pub local: Option<Text>,
    /// Instance of the outer packets.
    pub public_instance: Option<Text>,
    /// Instance of the inner packets.
    pub private_instance: Option<Text>,
    /// `auto`, or our identity.
    pub local_id: Option<Text>,
    /// Which peers are let in; default any that proves itself.
    pub remote_ids: Vec<Text>,
    /// Pre-shared key of all peers.
    pub psk: Option<SecretText>,
    /// File that holds it.
    pub psk_file: Option<Text>,
    /// Name of a ppk-list.
    pub ppk_list: Option<Text>,
    /// Nothing comes up without a post-quantum preshared key; default no.
    pub ppk_required: Option<bool>,
    /// Name of a cert-profile.
    pub certificate: Option<Text>,
    /// Name of a trust-anchor-profile.
    pub trust: Option<Text>,
    /// Name of a common-name-list: peers' certificates have one of its names; default any.
    pub common_name_list: Option<Text>,
    /// Take the pre-shared key of a peer that moves to certificates, too; default no.
    pub accept_psk: Option<bool>,
    /// Let peers move (RFC 4555); default yes.
    pub mobike: Option<bool>,
    /// Further outer addresses of ours, for MOBIKE.
    pub mobike_addresses: Vec<Text>,
    /// Name of an ike-policy.
    pub ike_policy: Option<Text>,
    /// Name of a tunnel-template.
    pub tunnel_template: Option<Text>,
    /// Name of a ts-list.
    pub ts_list: Option<Text>,
    /// `replace`, `keep` or `never`: what an identity that is there already means.
    pub unique: Option<Text>,
    /// The gateway that callers are sent to.
    pub redirect_callers_to: Option<Text>,
    /// `init` or `auth`: when they are.
    pub redirect_callers_at: Option<Text>,
    /// Name of a client-db; default: all peers are alike.
    pub client_db: Option<Text>,
}

/// `[client-db.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ClientDb {
    /// Look clients up in it; default yes.
    pub enabled: Option<bool>,
    /// Meet whom no client fits as the gateway alone would; default yes.
    pub fallback: Option<bool>,
    /// Its clients, in order.
    pub client: Vec<Spanned<Client>>,
}

/// `[[client-db.NAME.client]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Client {
    /// Its name.
    pub name: Option<Text>,
    /// Whether anybody is it; default yes.
    pub enabled: Option<bool>,
    /// Where it calls from; default anywhere.
    pub remote: Vec<Text>,
    /// Who it says it is; default whoever.
    pub remote_ids: Vec<Text>,
    /// Its pre-shared key; default: as the gateway has it.
    pub psk: Option<SecretText>,
    /// File that holds it.
    pub psk_file: Option<Text>,
    /// Take a certificate too, if the gateway does: it moves from its key to that; default no.
    pub accept_certificate: Option<bool>,
    /// Instance of its inner packets; default that of the gateway.
    pub private_instance: Option<Text>,
    /// Name of a tunnel-template; default that of the gateway.
    pub tunnel_template: Option<Text>,
    /// Name of a ts-list; default that of the gateway.
    pub ts_list: Option<Text>,
}

/// `[tunnel-template.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TunnelTemplate {
    /// Name of an ipsec-transform.
    pub ipsec_transform: Option<Text>,
    /// DSCP of outer packets.
    pub dscp: Option<Spanned<u64>>,
    /// Children there may be at once; default 5.
    pub child_limit: Option<Spanned<u64>>,
    /// SAs of its own for each worker; default no.
    pub per_worker: Option<bool>,
    /// What they do to packets.
    pub packets: Packets,
    /// `selectors` or `none`: routes to what the peer has behind it.
    pub reverse_route: Option<Text>,
    /// No route where the peer has everything behind it; default no.
    pub ignore_default_route: Option<bool>,
    /// Metric of these routes.
    pub metric: Option<Spanned<u64>>,
    /// Their preference before other protocols' routes; lower is better.
    pub preference: Option<Spanned<u64>>,
}

/// `[ts-list.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TsList {
    /// Our side.
    pub local: Vec<Text>,
    /// The peers' side.
    pub remote: Vec<Text>,
}
