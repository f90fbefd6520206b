#!/usr/bin/env bash
# The ordered policy beside a tunnel: what is let out in clear, thrown away and protected, packet by packet.
#
#   host A --- ravelind === public segment === ravelind --- host B
#                                 |
#                    a router to strangers' networks
#
# Gateway B has entries before its tunnel and behind it, and a route within the tunnel's network that leads to the router.
# Scapy sends, from host B and from the router, IPv4 and IPv6: what leaves and arrives is as the entries say, what a
# tunnel has is never in clear, and drops are counted by name; a change of entries leaves the tunnel as it is.
. "$(dirname "$0")/../lib/scenario.sh"
"$PYTHON" -c 'import scapy.all' 2> /dev/null || { say "skipped: python3-scapy is missing"; exit 77; }

net_up
in_ns "$PUB" sysctl -qw net.ipv6.conf.br0.disable_ipv6=0
ip -n "$PUB" addr add 192.0.2.77/24 dev br0
ip -n "$PUB" addr add 2001:db8::77/64 dev br0 nodad
# Packets for nobody there are not answered, or the host's errors would be counted too.
in_ns "$HB" nft -f - <<'N'
table inet quiet {
  chain output {
    type filter hook output priority 0; policy accept;
    icmp type { destination-unreachable, echo-reply } drop
    icmpv6 type { destination-unreachable, echo-reply } drop
  }
}
N
INNER="4 6"
configure_ravelin a b psk aes128 1
configure_ravelin b a psk aes128 2
cp "$WORK/b.toml" "$WORK/without.toml"
cat >> "$WORK/b.toml" <<'C'
[[route]]
destination = "198.51.100.0/24"
via = "192.0.2.77"
[[route]]
destination = "10.1.0.128/25"
via = "192.0.2.77"
[[route]]
destination = "2001:db8:51::/48"
via = "2001:db8::77"
[[route]]
destination = "fd00:1::8000/113"
via = "2001:db8::77"
C
cp "$WORK/b.toml" "$WORK/without.toml"
cat >> "$WORK/b.toml" <<'C'
[[policy]]
name = "never"
action = "discard"
before-tunnels = true
remote = ["10.1.0.66/32", "fd00:1::66/128"]
[[policy]]
name = "secret"
action = "discard"
remote = ["198.51.100.64/26", "2001:db8:51:1::/64"]
[[policy]]
name = "dns"
action = "bypass"
local = ["10.2.0.0/24 udp", "fd00:2::/64 udp"]
remote = ["198.51.100.0/24 udp/53", "2001:db8:51::/48 udp/53"]
[[policy]]
name = "ping"
action = "bypass"
local = ["10.2.0.0/24 icmp/8", "fd00:2::/64 icmpv6/128"]
remote = ["198.51.100.0/24 icmp/0", "2001:db8:51::/48 icmpv6/129"]
[[policy]]
name = "late"
action = "bypass"
remote = ["10.1.0.0/16", "fd00:1::/48"]
C
start_ravelind "$GWA" a
start_ravelind "$GWB" b
rv b initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A answers host B" in_ns "$HB" ping -c 1 -W 1 10.1.0.2
"$PYTHON" scripts/lib/policy_matrix.py "$PUB" "$GWB" "$HB" "$WORK/b.sock" || die "the matrix"
spi() { rv b --json show sa | jq -c '[.sas[] | .spi_in]'; }
decisions() { rv b --json show policy | jq -e --arg n "$1" '[.instances[] | .before_tunnels + .behind_tunnels | .[] | select(.name == $n) | .decisions] | add'; }
for entry in never secret dns ping; do hold "decided: $entry" test "$(decisions $entry)" -gt 0; done
rv b show policy >&2
before=$(spi)
cp "$WORK/without.toml" "$WORK/b.toml"
rv b config apply > "$WORK/applied" || { cat "$WORK/applied" >&2; die "the change was refused"; }
hold "five entries went" grep -q 'removed: policy.never, policy.secret, policy.dns, policy.ping, policy.late' "$WORK/applied"
hold "the tunnel was not touched" grep -q 'untouched: 1 tunnels' "$WORK/applied"
hold "its SAs are the same" test "$before" == "$(spi)"
hold "host A answers host B" pings "$HB" 10.1.0.2
hold "a name server is looked up as dropped" not rv b lookup 10.2.0.2 198.51.100.1 udp 1000 53
