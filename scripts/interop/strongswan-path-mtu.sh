#!/usr/bin/env bash
# A path to strongSwan of which only the middle is narrow, found by those who send over it (RFC 1191, RFC 8201).
#
#   host A --- strongSwan --- router ===1300=== router --- ravelind --- host B
#           198.51.100.1  .254                 .254  192.0.2.2         and the same in IPv6
#
# IPv4 and IPv6 outside. Host B sends what may not be cut: the router's word reaches ravelind, ravelind's reaches the host,
# and from then on nothing is refused on the way; to the octet what is said to fit does, and one more does not. `tracepath` finds the
# same size, and TCP, begun over a path nobody knows, carries a file each way. What strongSwan's kernel cuts on its side is put
# together here. After learning nothing is lost.
. "$(dirname "$0")/../lib/scenario.sh"
. scripts/lib/path.sh
needs charon-systemd strongSwan
needs tracepath tracepath

# ping_whole FROM TO OCTETS [PING ARGUMENTS]: an inner packet of that size, which may not be cut.
ping_whole() { in_ns "$1" ping -q -M "do" -W 1 -s $(($3 - 28)) "${@:4}" "$2" > "$WORK/ping" 2>&1; }
passes() { ping_whole "$HB" 10.1.0.2 "$1" -c 1; }
# refused OCTETS SIZE: the gateway says that only so much fits.
refused() { not passes "$1" && { in_ns "$HB" ping -M "do" -c 1 -W 1 -s $(($1 - 28)) 10.1.0.2 || :; } 2>&1 | grep -qE "mtu ?= ?$2"; }
# whole FROM TO OCTETS: two hundred of them, none lost, none refused on the way.
whole() {
  local before; before=$(too_large)
  ping_whole "$1" "$2" "$3" -c 200 -i 0.005 || { tail -n 3 "$WORK/ping" >&2; return 1; }
  grep -q ' 0% packet loss' "$WORK/ping" && [[ $(too_large) == "$before" ]]
}
# learned OUTER: what ravelind has learned of the path.
learned() { rv b --json show tunnels | jq -e --argjson o "$1" '.tunnels[] | select(.name == "net") | .path_mtu == $o and .path_mtu_learned'; }
traced() { in_ns "$HB" tracepath -n -m 6 10.1.0.2 > "$WORK/tracepath" 2>&1; grep -q "pmtu $1\$" <(grep -oE 'pmtu [0-9]+' "$WORK/tracepath" | tail -n 1) || { cat "$WORK/tracepath" >&2; return 1; }; }
forget() { in_ns "$1" ip route flush cache; in_ns "$1" ip -6 route flush cache; }
carried() { # FROM TO ADDRESS
  rm -f "$WORK/received"
  transfer "$WORK/sent" "$WORK/received" "$@"
  cmp "$WORK/sent" "$WORK/received"
}

net_up
routers_up
gateway_a_addresses
ip -n "$GWA" addr del 192.0.2.1/24 dev wan0
ip -n "$GWA" -6 addr del 2001:db8::1/64 dev wan0
ip -n "$GWA" addr add 198.51.100.1/24 dev wan0
ip -n "$GWA" addr add 2001:db8:a::1/64 dev wan0 nodad
routes a wan0
head -c 5000000 /dev/urandom > "$WORK/sent"
for outer in 4 6; do
  # ESP in UDP: 20 or 40, 8, 8, 8 and 16 octets around a text of fours, of which two are trailer.
  case $outer in
    4) wide=1438 narrow=1238 ;;
    6) wide=1418 narrow=1218 ;;
  esac
  say "IPv$outer outside: what the middle takes is not known"
  OUTER=$outer
  rm -rf "$WORK/ss"
  configure_ravelin b a psk aes128 1
  configure_strongswan psk aes128
  moved "$WORK/b.toml" "$WORK/ss/swanctl.conf"
  wide 1500
  forget "$HB"; forget "$HA"; forget "$GWA"
  start_ravelind "$GWB" b
  routes b wan
  start_strongswan "$GWA" ss
  rv b initiate net > /dev/null
  soon 15 "the tunnel is up" tunnel_up b net
  soon 10 "host A answers" passes 84
  hold "whole packets as large as our interface lets pass" passes $wide
  wide 1300
  hold "a transfer from behind ravelind finds its way" carried "$HB" "$HA" 10.1.0.2
  soon 5 "by what the router said" learned 1300
  hold "one from behind strongSwan too" carried "$HA" "$HB" 10.2.0.2
  say "when it is known"
  forget "$HB"; forget "$HA"
  hold "what fits passes, none lost" whole "$HB" 10.1.0.2 $narrow
  hold "one octet more is refused here, not on the way" refused $((narrow + 1)) $narrow
  forget "$HB"
  hold "tracepath finds it" traced $narrow
  hold "what strongSwan's side cuts arrives, none lost" whole "$HA" 10.2.0.2 $narrow
  before=$(too_large)
  hold "a transfer each way" carried "$HB" "$HA" 10.1.0.2
  hold "and back" carried "$HA" "$HB" 10.2.0.2
  hold "nothing of it was too large for the path" test "$(too_large)" = "$before"
  finish
done
