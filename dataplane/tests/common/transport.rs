//! An ip-tunnel under ESP in transport mode.

use std::sync::Arc;

use ravelin_dataplane::policy::ip_tunnel::{self, IpTunnel, IpTunnels, Kind, Parts};
use ravelin_dataplane::policy::route::{IpTunnelId, NextHop, TunnelId};
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::policy::spd::{Action, Entry, Otherwise, Spd};
use ravelin_dataplane::policy::table::{Child, Tunnel};
use ravelin_dataplane::sa::Endpoint;
use ravelin_dataplane::sa::outbound::Encapsulation;

use super::{Gateway, INSIDE, OUTSIDE, Style};

/// The tunnel whose SA it is under.
pub const TRANSPORT: TunnelId = TunnelId(8);

/// The other site's networks are behind an ip-tunnel of this kind from now on, and what is between the gateways is protected
/// by the SA there is.
pub fn lead(gateway: &mut Gateway, style: &Style, kind: Kind) {
    let (site, other, sa) = (gateway.site, gateway.site.other(), gateway.sa());
    let side = |address| [Selector::addresses_only(AddressRange::prefix(address, 128))];
    let selectors =
        SelectorSet::new(&side(site.public(style.outer_v6)), &side(other.public(style.outer_v6))).unwrap();
    let end = |address| Endpoint { address, port: 0 };
    let ends = (end(site.public(style.outer_v6)), end(other.public(style.outer_v6)));
    let parts = Parts {
        private: INSIDE,
        kind,
        encapsulation: Encapsulation::between(OUTSIDE, ends.0, ends.1),
        backup: None,
        copy_traffic_class: false,
        leaving_mss: None,
        up: true,
    };
    let tunnel = Arc::new(IpTunnel::new(parts, ip_tunnel::counters(gateway.workers.len())));
    let tables = gateway.tables.tables_mut();
    tables.set_ip_tunnels(IpTunnels::new(vec![Some(tunnel)]));
    for v6 in [false, true] {
        tables.set_route(INSIDE, other.network(v6), Some(NextHop::IpTunnel(IpTunnelId(0)))).unwrap();
    }
    let child = Child::new(selectors.clone(), sa);
    tables.set_tunnel(TRANSPORT, Some(Tunnel::new(vec![child]).unwrap())).unwrap();
    let entry = Entry { selectors, action: Action::Protect(TRANSPORT) };
    let spd = Spd::around(vec![entry], vec![], Otherwise::Bypass, gateway.workers.len()).unwrap();
    tables.set_spd(OUTSIDE, spd).unwrap();
    gateway.tables.publish();
    gateway.settle();
}
