#!/usr/bin/env bash
# Addresses that the peer refuses (RFC 4555 §3.5): the tunnel goes back to the pair that worked, and ends when none is left.
#
#   host A --- ravelind === public segment === ravelind --- host B
#            192.0.2.1                         192.0.2.2, .12
#
# B calls, from the first of its addresses, and A has that one as its fixed `remote`. It is cut: B finds that A answers to the second one,
# moves there and is told UNACCEPTABLE_ADDRESSES. It goes back, is heard again once the cut is over, and nothing was
# negotiated anew. Cut for longer, the tunnel ends and says why.
. "$(dirname "$0")/../lib/scenario.sh"

cut() {
  in_ns "$PUB" nft -f - <<N
table bridge cut {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr $1 drop
    ip daddr $1 drop
  }
}
N
}
join() { in_ns "$PUB" nft delete table bridge cut; }
told_times() { [[ $(rv "$1" --json events | jq --arg w "$2" '[.events[] | select(.what == $w)] | length') == "$3" ]]; }
refused() { told addresses-refused "192.0.2.12:4500 with 192.0.2.1:4500"; }
because() { told ike-down "$1"; }

net_up
RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 6'
configure_ravelin a b psk aes128 1 $'dpd-interval = 30\ndpd-retries = 5'
sed -i 's/^remote = .*/&\nmobike = true/' "$WORK/a.toml"
configure_ravelin b a psk aes128 2 $'dpd-interval = 2\ndpd-retries = 6'
sed -i -e 's/^interface.wan.*/interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2\/24", "192.0.2.12\/24"] }/' \
  -e 's/^remote = .*/&\nmobike-addresses = ["192.0.2.12"]/' "$WORK/b.toml"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
rv b initiate net > /dev/null
soon 10 "the tunnel is up" tunnel_up b net
soon 5 "host B reaches host A" in_ns "$HB" ping -c 1 -W 1 10.1.0.2
spis=$(tunnel_field b net ike_spis) keys=$(rv b --json show sa | jq -c '[.sas[].spi] | sort')

say "the address that A knows is cut, and comes back"
cut 192.0.2.2
soon 20 "B says that A refuses the other one" refused
hold "A says so too" told_times a move-refused 1
hold "B is where it was" test "$(tunnel_field b net local)" = 192.0.2.2
join
soon 15 "host B reaches host A" in_ns "$HB" ping -c 1 -W 1 10.1.0.2
hold "the IKE SA is the same" test "$(tunnel_field b net ike_spis)" = "$spis"
hold "the CHILD SA is the same" test "$(rv b --json show sa | jq -c '[.sas[].spi] | sort')" = "$keys"
hold "nobody has moved" test "$(tunnel_field b net moves)" = 0
hold "hosts ping" pings "$HA" 10.2.0.2

say "it is cut for good"
cut 192.0.2.2
soon 60 "the tunnel is down" tunnel_down b net
hold "because A takes no other address" because RV-NET-004
join
