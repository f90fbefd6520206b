#!/usr/bin/env bash
# `ravelin mtu probe` over a path of which only the middle is narrow.
#
#   host A --- ravelind --- router ===1300=== router --- ravelind --- host B
#         198.51.100.1  .254                 .254  192.0.2.2         and the same in IPv6
#
# The router's word, then the gateway's own after it has learned; the same where the routers say nothing; a path that has
# become wider; a peer that answers no echo, and the host behind it that does. IPv4 and IPv6 outside. Nothing is believed
# that was not answered: the sizes are right to the octet, and what is said to fit passes whole.
. "$(dirname "$0")/../lib/scenario.sh"
MID=rvmid$NET_ID
trap 'status=$?; ((status == 0 || status == 77)) || scenario_logs; ip netns del "$MID" 2> /dev/null || :; net_cleanup' EXIT

# Two routers in place of the segment.
routers_up() {
  ip netns add "$MID"
  ip -n "$MID" link set lo up
  local dev
  for dev in to-a to-b; do ip -n "$PUB" link set "$dev" nomaster; done
  in_ns "$PUB" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
  ip -n "$PUB" link set to-a netns "$MID"
  link "$PUB" mid 10.99.0.2/24 "$MID" mid 10.99.0.1/24
  ip -n "$MID" link set to-a up
  router "$MID" to-a 198.51.100.254/24 2001:db8:a::fe/64 1
  router "$PUB" to-b 192.0.2.254/24 2001:db8::fe/64 2
  ip -n "$MID" route add 192.0.2.0/24 via 10.99.0.2
  ip -n "$PUB" route add 198.51.100.0/24 via 10.99.0.1
  ip -n "$MID" -6 route add 2001:db8::/64 via fd99::2
  ip -n "$PUB" -6 route add 2001:db8:a::/64 via fd99::1
}
router() { # NAMESPACE DEVICE ADDRESS ADDRESS6 NUMBER
  in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
  in_ns "$1" ethtool -K "$2" tx off rx off tso off gso off gro off > /dev/null 2>&1 || :
  ip -n "$1" addr add "$3" dev "$2"
  ip -n "$1" addr add "$4" dev "$2" nodad
  ip -n "$1" addr add "fd99::$5/64" dev mid nodad
}
wide() { ip -n "$PUB" link set mid mtu "$1"; ip -n "$MID" link set mid mtu "$1"; }
# Routers that say nothing of what does not fit, and that speak again.
mute() {
  local ns
  for ns in "$PUB" "$MID"; do
    in_ns "$ns" nft -f - <<'N'
table inet mute {
  chain output {
    type filter hook output priority 0; policy accept;
    icmp type destination-unreachable drop
    icmpv6 type packet-too-big drop
  }
}
N
  done
}
speak() { in_ns "$PUB" nft delete table inet mute; in_ns "$MID" nft delete table inet mute; }

configure() { # OUTER
  OUTER=$1
  configure_ravelin b a psk aes128 1
  configure_ravelin a b psk aes128 1
  sed -i 's|192.0.2.1|198.51.100.1|; s|2001:db8::1|2001:db8:a::1|' "$WORK/a.toml" "$WORK/b.toml"
}
# The kernels' routes, as a routing daemon would make them: workers follow them, and echoes are the kernel's.
routes() {
  ip -n "$GWB" route add 198.51.100.0/24 via 192.0.2.254 dev wan
  ip -n "$GWB" -6 route add 2001:db8:a::/64 via 2001:db8::fe dev wan
  ip -n "$GWA" route add 192.0.2.0/24 via 198.51.100.254 dev wan
  ip -n "$GWA" -6 route add 2001:db8::/64 via 2001:db8:a::fe dev wan
}
probe() { rv b mtu probe net "$@" >&2 && rv b --json mtu probe net "$@" > "$WORK/probe"; }
# probed PATH INNER NOW LIMIT: what the last probe found.
probed() {
  local found; found=$(jq -r '[.path_mtu // "-", .inner_mtu, .inner_mtu_now, .limit] | join(" ")' "$WORK/probe")
  [[ $found == "$*" ]] || { say "found: $found"; return 1; }
}
# passes OCTETS: a packet of that size that may not be cut reaches host A and is answered.
passes() { in_ns "$HB" ping -q -c 1 -W 1 -M "do" -s $(($1 - 28)) 10.1.0.2 > /dev/null; }

net_up
routers_up
for outer in 4 6; do
  case $outer in
    4) wide=1446 narrow=1246 router=192.0.2.254 ;;
    6) wide=1426 narrow=1226 router=2001:db8::fe ;;
  esac
  say "IPv$outer outside"
  configure $outer
  wide 1500
  start_ravelind "$GWA" a
  start_ravelind "$GWB" b
  routes
  hold "a tunnel without an SA has no size" not rv b mtu probe net
  soon 15 "the peer is reached" rv b initiate net
  soon 15 "the tunnel is up" tunnel_up b net
  soon 10 "host A answers" passes 84
  hold "a path as wide as our interface" probe
  hold "is found so" probed 1500 $wide $wide interface
  wide 1300
  hold "a router in the middle" probe
  hold "is asked for what it says" probed 1300 $narrow $wide router
  hold "and named" test "$(jq -r .limited_by "$WORK/probe")" = "$router"
  hold "what does not fit does not pass" not passes $((narrow + 1))
  soon 5 "its sender learns it, and what was found passes" passes $narrow
  hold "and the gateway has it" probe
  hold "as it was found" probed 1300 $narrow $narrow router
  say "a path that is wider again"
  wide 1500
  hold "is found to be" probe
  hold "although the gateway still believes less" probed 1500 $wide $narrow interface
  wide 1300
  say "routers that say nothing"
  mute
  hold "are found out by silence" probe
  hold "to the octet" probed 1300 $narrow $narrow silence
  speak
  say "a peer that answers no echo"
  in_ns "$GWA" sysctl -qw net.ipv4.icmp_echo_ignore_all=1 net.ipv6.icmp.echo_ignore_all=1
  hold "is said to" not rv b mtu probe net
  hold "and a host behind it is asked" probe --to 10.1.0.2
  hold "through the tunnel" probed - $narrow $narrow gateway
  hold "and nobody beside it" not rv b mtu probe net --to 10.7.0.1
  in_ns "$GWA" sysctl -qw net.ipv4.icmp_echo_ignore_all=0 net.ipv6.icmp.echo_ignore_all=0
  hold "it is in the events" told mtu-probed 1300
  stop a; stop b
done
