//! Gateways of a plan: who is let in from anywhere, what their tunnels are like and may carry, and what such a tunnel has
//! of its gateway.

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_ike::config::{IdentityPattern, Selector};

use crate::trust::CommonNames;

use super::{Client, ClientDb, Ike, InstanceId, IpsecTransform, PacketSettings};

/// What a tunnel has of the gateway that let its peer in, as it was then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The gateway's name.
    pub gateway: String,
    /// Which of its gateway's clients its peer is, if it is one.
    pub client: Option<String>,
    /// Which routes lead into it.
    pub reverse: ReverseRoutes,
}

/// A gateway: lets peers from any address open tunnels (TG-11).
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// Its name.
    pub name: String,
    /// Whether it lets anybody in.
    pub enabled: bool,
    /// The group whose workers carry its tunnels.
    pub group: String,
    /// Instance of the outer packets.
    pub public: InstanceId,
    /// Instance of the inner packets.
    pub private: InstanceId,
    /// Our outer address.
    pub local: IpAddr,
    /// How it speaks IKEv2; `remote_id` is none, `admits` stands in its place.
    pub ike: Ike,
    /// Which identities are let in; none: all that prove themselves.
    pub admits: Vec<IdentityPattern>,
    /// Names of which a peer's certificate must have one; `None`: any will do.
    pub common_names: Option<Arc<CommonNames>>,
    /// What an identity that is there already means.
    pub unique: Unique,
    /// What its tunnels are like.
    pub template: Template,
    /// What they may carry.
    pub traffic: TsList,
    /// What is otherwise for peers by name; `None`: all are alike.
    pub clients: Option<Arc<ClientDb>>,
}

impl Gateway {
    /// One of its clients, by name.
    pub fn client(&self, name: &str) -> Option<&Client> {
        self.clients.as_ref()?.find(name)
    }
}

/// What becomes of two tunnels of one identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unique {
    /// The new one takes the place of the old one.
    #[default]
    Replace,
    /// The new one is refused, unless the peer says that it has forgotten the old one (RFC 7296 §2.4).
    Keep,
    /// Both stay.
    Never,
}

impl Unique {
    /// All there are, under the names a configuration has for them.
    pub const ALL: [(&'static str, Unique); 3] =
        [("replace", Unique::Replace), ("keep", Unique::Keep), ("never", Unique::Never)];
}

/// What the tunnels of a gateway are like (TG-12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its name; empty for the defaults.
    pub name: String,
    /// The transform of their children.
    pub transform: Arc<IpsecTransform>,
    /// DSCP of outer packets; `None`: that of the inner ones.
    pub dscp: Option<u8>,
    /// Children each may have at once.
    pub child_limit: usize,
    /// Whether each worker is to have SAs of its own for them (RFC 9611).
    pub per_worker: bool,
    /// What they do to packets.
    pub packets: PacketSettings,
    /// Which routes lead into them.
    pub reverse: ReverseRoutes,
}

/// Routes to what the peers have behind them (TG-13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReverseRoutes {
    /// Whether there are any.
    pub enabled: bool,
    /// Whether there are none to everything.
    pub ignore_default: bool,
    /// 0 to 65535.
    pub metric: u16,
    /// Before routes of other protocols: the lower wins.
    pub preference: u8,
}

impl ReverseRoutes {
    /// As the kernel is told: routing daemons take the top octet of a kernel route's metric as its preference.
    pub fn kernel_metric(self) -> u32 {
        u32::from(self.preference) << 24 | u32::from(self.metric)
    }
}

/// Traffic that tunnels of a gateway may carry: what a peer asks for is narrowed to it (TS-05).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TsList {
    /// Its name.
    pub name: String,
    /// Our side, 1 to 32 that do not overlap.
    pub local: Vec<Selector>,
    /// The peers' side.
    pub remote: Vec<Selector>,
}
