#!/usr/bin/env bash
# Ping and traceroute to the gateway's own addresses, and through it.
#
#   host A --- ravelind === public segment === ravelind --- host B
#                                 |
#                              stranger
#
# The tunnel of gateway B is of a group with several active workers: its address answers the peer's pings and nobody else's,
# and each that is not answered is counted. All other addresses of the gateway answer anybody, its private one through the
# tunnel too, and traceroute to each of them ends there. Where a gateway has the
# tunnel's address too, it answers everybody.
. "$(dirname "$0")/../lib/scenario.sh"

one_ping() { in_ns "$1" ping -q -c 1 -W 1 "${@:2}" > /dev/null; }
# hop NAMESPACE HOPS TO BY: a packet with so many hops to go ends at that address, which says so.
hop() { { in_ns "$1" ping -c 1 -W 2 -t "$2" "$3" || :; } | grep -q "From $4 .*Time to live exceeded"; }
# settled NAMESPACE: each of its IPv6 addresses is known to be nobody else's, and may be answered for (RFC 4862 §5.4).
settled() { [[ -z $(ip -n "$1" -6 addr show tentative) ]]; }
# reached NAMESPACE FROM TO: a datagram to a port where nobody is: "port unreachable", by which traceroute knows the last hop.
reached() {
  in_ns "$1" "$PYTHON" - "$2" "$3" <<'P'
import socket, sys
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.bind((sys.argv[1], 0))
probe.connect((sys.argv[2], 33434))
probe.settimeout(2)
probe.send(b"traceroute")
try:
    probe.recv(1)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit(1)
P
}

net_up
ip link add wan0 netns "$PUB" type veth peer name to-h netns "$PUB"
ip -n "$PUB" link set to-h master br0 up
in_ns "$PUB" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.wan0.disable_ipv6=0
ip -n "$PUB" addr add 192.0.2.77/24 dev wan0
ip -n "$PUB" addr add 2001:db8::77/64 dev wan0 nodad
ip -n "$PUB" link set wan0 up
configure_ravelin a b psk aes128 1
configure_ravelin b a psk aes128 2
sed -i '/^\[tunnel.net\]$/a tunnel-group = "several"' "$WORK/b.toml"
cat >> "$WORK/b.toml" <<C
[tunnel-group.several]
mode = "multi-active"
members = [0, 1]
active-number = 2
C
start_ravelind "$GWA" a
start_ravelind "$GWB" b

say "the end of a tunnel of several workers"
soon 10 "answers its peer" one_ping "$GWA" -I 192.0.2.1 192.0.2.2
hold "whose traceroute ends there" reached "$GWA" 192.0.2.1 192.0.2.2
soon 10 "a stranger finds the segment" one_ping "$PUB" 192.0.2.1
before=$(counter b drop-echo-stranger)
hold "and gets no answer of it" not in_ns "$PUB" ping -q -c 3 -i 0.2 -W 1 192.0.2.2
hold "which is counted" test "$(counter b drop-echo-stranger)" = $((before + 3))
hold "though it is there" reached "$PUB" 192.0.2.77 192.0.2.2
soon 10 "the gateway's IPv6 address is its own" settled "$GWB"
hold "an address that is no tunnel's answers" one_ping "$PUB" 2001:db8::2
hold "its peer's, which is of no group, answers too" one_ping "$PUB" 192.0.2.1

say "behind it"
rv b initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" one_ping "$HA" 10.2.0.2
hold "and the gateway's private address" pings "$HA" 10.2.0.1
hold "so does host B" pings "$HB" 10.2.0.1
hold "and the other end's" pings "$HB" 10.1.0.1
hold "the first hop tells" hop "$HA" 1 10.2.0.2 10.1.0.1
hold "the second tells through the tunnel" hop "$HA" 2 10.2.0.2 10.2.0.1
hold "the third is there" one_ping "$HA" -t 3 10.2.0.2
hold "traceroute ends there" reached "$HA" 10.1.0.2 10.2.0.2
hold "traceroute to the gateway ends there" reached "$HA" 10.1.0.2 10.2.0.1

say "a gateway at the same address"
cat >> "$WORK/b.toml" <<C
[gateway.anybody]
local = "192.0.2.2"
psk = "$PSK of anybody"
ts-list = "anybody"
[ts-list.anybody]
local = ["10.2.0.0/24"]
remote = ["10.9.0.0/24"]
C
rv b config apply > /dev/null
soon 5 "answers everybody, since its peers may be anywhere" one_ping "$PUB" 192.0.2.2
