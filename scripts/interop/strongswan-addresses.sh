#!/usr/bin/env bash
# Several addresses with strongSwan (RFC 4555): the way in use is cut, and the tunnel goes on by another one.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#            192.0.2.1, .11                   192.0.2.2, .12
#
# ravelind calls. strongSwan says that it has another address, and the one that was called is cut; then the other one, with
# the first back; then ravelind's own, then one of each. Each time ravelind finds a pair that answers, and moves: the IKE SA
# stays, both say where it is, and nothing passes in clear. At last strongSwan hears of ESP by an SPI that ravelind does not
# know, within the IKE SA, which stays.
#
# strongSwan's user-space ESP cannot give an SA other addresses, so it rekeys the CHILD SA after each move.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

sends_to() { [[ $(tunnel_field b net remote) == "$1:4500" ]]; }
goes_between() { [[ $(tunnel_field b net local) == "$1" ]] && sends_to "$2"; }
rung() { rv b --json explain net | jq -r '.rungs[] | select(.question | contains("MOBIKE")) | .seen'; }
# cut ADDRESS...: nothing from these and to these passes the public segment, in place of any others; ARP does.
cut() {
  in_ns "$PUB" nft -f - <<N
add table bridge cut
delete table bridge cut
table bridge cut {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr { $(IFS=,; echo "$*") } drop
    ip daddr { $(IFS=,; echo "$*") } drop
  }
}
N
}
# moved REMOTE [LOCAL]: ravelind goes there by itself; strongSwan says the same, and packets pass. Without LOCAL both pairs
# work, and the one that answers first is taken. Sets own and other: ravelind's address in use, and not.
moved() {
  if [[ -n ${2:-} ]]; then
    soon 40 "ravelind is at $2 and sends to $1" goes_between "$2" "$1"
  else
    soon 40 "ravelind sends to $1" sends_to "$1"
  fi
  own=$(tunnel_field b net local)
  [[ $own == 192.0.2.2 ]] && other=192.0.2.12 || other=192.0.2.2
  soon 15 "strongSwan says so" swan_has "local +'a.example' @ $1\[4500\]"
  hold "and where ravelind is" swan_has "remote +'b.example' @ $own\[4500\]"
  soon 15 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  hold "the IKE SA is the same" test "$(tunnel_field b net ike_spis)" = "$spis"
}

net_up
gateway_a_addresses
ip -n "$GWA" addr del 2001:db8::1/64 dev wan0
ip -n "$GWA" addr add 192.0.2.11/24 dev wan0

RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 6'
configure_ravelin b a psk aes128 2 $'dpd-interval = 2\ndpd-retries = 5'
sed -i -e 's/^interface.wan.*/interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2\/24", "192.0.2.12\/24"] }/' \
  -e 's/^remote = .*/&\nmobike-addresses = ["192.0.2.12"]/' "$WORK/b.toml"
"$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
configure_strongswan psk aes128
sed -i 's/mobike = no/mobike = yes/; /local_addrs/d; s/remote_addrs = .*/remote_addrs = 192.0.2.2, 192.0.2.12/' "$WORK/ss/swanctl.conf"

say "both have two addresses"
start_ravelind "$GWB" b
start_strongswan "$GWA" ss 'retransmit_tries = 6' 'retransmit_timeout = 0.5'
initiate_from ravelin strongswan
soon 15 "the tunnel is up" tunnel_up b net
hold "strongSwan has said that it has another address" test "$(tunnel_field b net peer_addresses | jq 'index("192.0.2.11") != null')" = true
hold "explain names both ends'" grep -q 'further addresses here: 192.0.2.12.*192.0.2.11' <<< "$(rung)"
hold "strongSwan heard of ours" swan_said 'ADD_4_ADDR'
capture_start "$WORK/moves.pcap"
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
spis=$(tunnel_field b net ike_spis)

say "the peer's first address is cut"
cut 192.0.2.1
moved 192.0.2.11
say "the second, with the first back"
cut 192.0.2.11
moved 192.0.2.1
say "the one of ours that is in use, and the other one of the peer's"
cut "$own" 192.0.2.11
moved 192.0.2.1 "$other"
say "both that are in use"
cut "$own" 192.0.2.1
moved 192.0.2.11 "$other"
in_ns "$PUB" nft delete table bridge cut
hold "the tunnel never went down" test "$(tunnel_field b net ups)" = 1
hold "it moved four times" test "$(tunnel_field b net moves)" = 4
hold "host A pings host B" pings "$HA" 10.2.0.2
capture_stop "$WORK/moves.pcap"
hold "nothing passed in clear" test "$(count_packets "$WORK/moves.pcap" "$CLEAR_FILTER")" = 0

say "ESP by an SPI that is not there"
swan_mark
# Beside charon's own socket: a raw one, with the UDP header made here.
in_ns "$GWA" "$PYTHON" -c '
import socket, struct, sys
body = struct.pack("!II", 0x01ab0001, 1) + bytes(56)
udp = struct.pack("!HHHH", 4500, 4500, 8 + len(body), 0) + body
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
raw.bind(("192.0.2.11", 0))
for _ in range(50): raw.sendto(udp, (sys.argv[1], 0))' "$own"
soon 5 "the journal says so" told spi-unknown 01ab0001
soon 5 "strongSwan was told within the IKE SA" swan_said 'parsed INFORMATIONAL request [0-9]+ \[ N\(INVAL_SPI\) \]'
hold "once" test "$(tail -n "+$SWAN_MARK" "$WORK/ss/log" | grep -c 'INVAL_SPI')" = 1
hold "the IKE SA is the same" test "$(tunnel_field b net ike_spis)" = "$spis"
hold "host A pings host B" pings "$HA" 10.2.0.2
finish
