#!/usr/bin/env bash
# MOBIKE with strongSwan: the caller moves between two addresses, and its tunnel goes along.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#            192.0.2.1, .11                     192.0.2.2
#
# Under numbered UDP strongSwan loses the address it has and gets the other one, back and forth, alone and while the
# CHILD SA and the IKE SA are rekeyed from either side. The IKE SA stays and so does the worker, strongSwan and ravelind
# both say where the tunnel goes, and what is lost was sent between the address going and ravelind following. Nothing
# passes in clear. A tunnel with a fixed peer address refuses the move by name; a gateway's peer takes its tunnel along.
#
# strongSwan's user-space ESP cannot give an SA other addresses, so it rekeys the CHILD SA after each move, on the IKE SA
# that moved: that SAs of ours stay as they are is tested without it (control/src/daemon/tests/mobike.rs).
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan
((FULL)) && { rate=2000 moves=6; } || { rate=500 moves=2; }

name=net
homes() { rv b --json show sa | jq -c '[.sas[].worker] | unique'; }
one_pair() { [[ $(rv b --json show sa | jq '[.sas[] | select(.state == "active")] | length') == 2 ]]; }
goes_to() { [[ $(tunnel_field b "$name" remote) == "$1" ]]; }
rekeyed() { (($(tunnel_field b net "$1") >= $2)); }
event_time() { rv b --json events | jq -e --arg w "$1" '[.events[] | select(.what == $w)] | last | .time'; }
events_of() { rv b --json events | jq --arg w "$1" '[.events[] | select(.what == $w)] | length'; }
# rung: what explain says of it, but for where else strongSwan says that it is.
rung() { rv b --json explain "$name" | jq -r '.rungs[] | select(.question | contains("MOBIKE")) | .seen' | sed "s/; the peer's: .*//"; }

# configure REMOTE [LINES]: both sides; strongSwan uses whatever address it has.
configure() {
  RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 6'
  configure_ravelin b a psk aes128 2
  sed -i "s/^remote = .*/remote = \"$1\"\n${2:-}/" "$WORK/b.toml"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
  configure_strongswan psk aes128
  sed -i 's/mobike = no/mobike = yes/; /local_addrs/d' "$WORK/ss/swanctl.conf"
}
begin() {
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'retransmit_tries = 6' 'retransmit_timeout = 0.3' 'retransmit_base = 1.5'
  initiate_from peer strongswan
  soon 15 "the tunnel is up" tunnel_up b "$name"
}
# The same tunnel, of whoever has the key and is a.example.
as_gateway() {
  name=branches/a.example
  sed -i -e 's/^\[tunnel.net\]/[gateway.branches]/; s/^remote-id = .*/remote-ids = ["a.example"]/; s/^remote-ts = .*/ts-list = "all"/' \
    -e '/^remote = /d; /^ipsec-transform = /d; /^on-demand = /d; /^local-ts = /d' "$WORK/b.toml"
  printf '%s\n' 'tunnel-template = "t"' '[tunnel-template.t]' 'ipsec-transform = "t"' '[ts-list.all]' 'local = ["10.2.0.0/24"]' 'remote = ["10.1.0.0/24"]' >> "$WORK/b.toml"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
}

# move FROM TO: strongSwan has TO in place of FROM. Adds the seconds until ravelind followed to $away.
move() {
  local from=$1 to=$2 before left followed
  before=$(events_of peer-moved)
  left=$(date +%s.%3N)
  ip -n "$GWA" addr del "$from/24" dev wan0
  ip -n "$GWA" addr add "$to/24" dev wan0
  soon 15 "ravelind sends to $to" goes_to "$to:4500"
  soon 15 "strongSwan says it is there" swan_has "local +'a.example' @ $to\[4500\]"
  hold "the journal says so, once" test "$(events_of peer-moved)" = $((before + 1))
  followed=$(event_time peer-moved)
  away=$(jq -n "$away + $followed - $left") went=$((went + 1))
  say "    followed after $(jq -n "($followed - $left) * 1000 | floor") ms"
}
# lost_while_away: of both directions, no more than was sent meanwhile and in 50 ms after each move, in which the order to
# follow reaches the worker and strongSwan rekeys; and no packet twice.
lost_while_away() {
  jq -e --argjson away "$away" --argjson went "$went" --argjson rate "$rate" '.sent > 0 and .duplicates == 0 and .lost <= (($away + 0.05 * $went) * 2 * $rate | ceil)' <<< "$UDP" > /dev/null
}

net_up
gateway_a_addresses
ip -n "$GWA" addr del 2001:db8::1/64 dev wan0

say "the caller moves"
configure any
begin
hold "explain says who may move" test "$(rung)" = "the peer called and may move; moves so far: 0"
capture_start "$WORK/moves.pcap"
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
home=$(homes) spis=$(tunnel_field b net ike_spis) away=0 went=0
traffic_start "$rate" 300
for ((i = 0; i < moves / 2; i++)); do
  move 192.0.2.1 192.0.2.11
  move 192.0.2.11 192.0.2.1
done
traffic_stop
hold "it lost what was sent while it was away, no more ($(jq -n "$away * 1000 | floor") ms in $moves moves)" lost_while_away
hold "the IKE SA is the same" test "$(tunnel_field b net ike_spis)" = "$spis"
hold "the worker too" test "$(homes)" = "$home"
hold "the tunnel never went down" test "$(tunnel_field b net ups)" = 1
hold "show says how often it moved" test "$(tunnel_field b net moves)" = "$moves"
hold "explain does too" test "$(rung)" = "the peer called and may move; moves so far: $moves"

say "it moves while SAs are rekeyed"
away=0 went=0
traffic_start "$rate" 300
rv b rekey net > /dev/null
move 192.0.2.1 192.0.2.11
soon 15 "the child was rekeyed" rekeyed child_rekeys 1
swan ss --rekey --child net > /dev/null
move 192.0.2.11 192.0.2.1
soon 15 "and again" rekeyed child_rekeys 2
rv b rekey net --ike > /dev/null
move 192.0.2.1 192.0.2.11
soon 15 "the IKE SA was rekeyed" rekeyed ike_rekeys 1
swan ss --rekey --ike net > /dev/null
move 192.0.2.11 192.0.2.1
soon 15 "and again" rekeyed ike_rekeys 2
soon 15 "one CHILD SA is left" one_pair
traffic_stop
hold "it lost what was sent while it was away, no more ($(jq -n "$away * 1000 | floor") ms in 4 moves)" lost_while_away
hold "the tunnel never went down" test "$(tunnel_field b net ups)" = 1
hold "host A pings host B" pings "$HA" 10.2.0.2
capture_stop "$WORK/moves.pcap"
hold "ESP passed" test "$(count_packets "$WORK/moves.pcap" "$ESP_FILTER")" -gt "$rate"
hold "nothing passed in clear" test "$(count_packets "$WORK/moves.pcap" "$CLEAR_FILTER")" = 0
finish

say "a peer of a gateway moves"
configure any
as_gateway
begin
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
spis=$(tunnel_field b "$name" ike_spis) away=0 went=0
move 192.0.2.1 192.0.2.11
move 192.0.2.11 192.0.2.1
hold "the IKE SA is the same" test "$(tunnel_field b "$name" ike_spis)" = "$spis"
hold "the tunnel never went down" test "$(tunnel_field b "$name" ups)" = 1
hold "explain says so" test "$(rung)" = "the peer called and may move; moves so far: 2"
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
finish

name=net
say "a fixed peer may not move"
configure 192.0.2.1 'mobike = true'
begin
hold "explain says so" test "$(rung)" = "the peer called, and its address is a fixed one here; moves so far: 0"
capture_start "$WORK/fixed.pcap"
ip -n "$GWA" addr del 192.0.2.1/24 dev wan0
ip -n "$GWA" addr add 192.0.2.11/24 dev wan0
soon 15 "ravelind refuses it by name" event_time move-refused
hold "and sends where the peer is configured" goes_to 192.0.2.1:4500
hold "it never followed" test "$(events_of peer-moved)" = 0
capture_stop "$WORK/fixed.pcap"
hold "no ESP went to the new address" test "$(count_packets "$WORK/fixed.pcap" 'dst 192.0.2.11 and udp port 4500 and udp[8:4] != 0')" = 0
finish
