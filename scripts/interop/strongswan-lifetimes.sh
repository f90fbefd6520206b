#!/usr/bin/env bash
# Lifetimes by packets and by bytes, with strongSwan, ours and its own: rekeys come in time, and lose nothing.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# Numbered UDP, 500 packets a second both ways. An SA may carry 1500 packets, or as many bytes as those have; before that is
# over whoever counts it has it rekeyed. None missing, none twice, and no SA carried more than it may.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

PACKETS=1500 BYTES=300000
count() { tunnel_field b net child_rekeys; }
reached() { (($(count) >= $1)); }
# The most that any SA towards ravelind carried, as it is seen now.
most() { rv b --json show sa | jq "[.sas[] | select(.direction == \"in\") | .$1] | max // 0"; }
# lives WHAT TRANSFORM-LINES CHILD-LINES FIELD LIMIT: three rekeys under traffic.
lives() {
  say "$1"
  configure_ravelin b a psk aes128 2 "" "$2"
  configure_strongswan psk aes128 "" "$3"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss
  initiate_from ravelin strongswan
  soon 15 "the tunnel is up" tunnel_up b net
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  traffic_start 500 120
  soon 60 "three rekeys" reached 3
  hold "no SA carried more than it may" test "$(most "$4")" -le "$5"
  traffic_stop
  hold "none missing, none twice" nothing_missing "$UDP"
  hold "none later than 50 ms" nothing_late "$UDP"
  hold "the tunnel never went down" test "$(tunnel_field b net ups)" = 1
  finish
}

net_up
gateway_a_addresses
lives "ours, by packets" "lifetime-packets = $PACKETS" "" packets "$PACKETS"
lives "ours, by bytes" "lifetime-bytes = $BYTES" "" bytes "$BYTES"
lives "strongSwan's, by packets" "" "life_packets = $PACKETS
    rekey_packets = $((PACKETS * 7 / 10))
    rand_packets = 100" packets "$PACKETS"
lives "strongSwan's, by bytes" "" "life_bytes = $BYTES
    rekey_bytes = $((BYTES * 7 / 10))
    rand_bytes = 10000" bytes "$BYTES"
