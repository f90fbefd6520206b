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
. scripts/lib/path.sh

configure() { # OUTER
  OUTER=$1
  configure_ravelin b a psk aes128 1
  configure_ravelin a b psk aes128 1
  moved "$WORK/a.toml" "$WORK/b.toml"
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
  routes a wan
  routes b wan
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
