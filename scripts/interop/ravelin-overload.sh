#!/usr/bin/env bash
# Twice the data that a worker can carry, and tunnels live on, come up and rekey (IKE-50).
#
#   host A --- ravelind === public segment === ravelind --- host B
#                                 |
#                             neighbour
#
# Gateway B has one worker, and a tunnel with keys by hand and a slow cipher (3DES) to a neighbour that takes what comes. How
# much of it the worker carries is measured all the while, and twice as much offered, first by host B, then by the neighbour,
# whose packets come by the port and the very queue by which gateway A's IKE comes. Meanwhile the tunnel to A is asked whether it
# lives, several times by either end; both ends rekey its IKE SA and its CHILD SA; another tunnel comes up. Data are dropped
# by name (drop-overload), no message of IKE at a ring, and of the datagrams of IKE that A has sent B has nine in ten at the
# least: some may be lost before the surge is noticed, and where the machine keeps the worker from its queue.
# Alone: a worker that carries half as much from one moment to the next is offered more than this is about.
. "$(dirname "$0")/../lib/scenario.sh"
RETRANSMISSION=
SIZE=1372

# messages SIDE FIELD: of IKE, of both tunnels. worker: what of it is counted here, at one moment.
messages() { local net more; net=$(explained "$1" net "$2"); more=$(explained "$1" more "$2"); echo $((net + more)); }
explained() { { rv "$1" --json explain "$2" || :; } | jq ".messages.$3"; }
worker() { rv b --json show counters | jq -r '[.counters[] | {(.name): .value}] | add | "\(."sealed-packets") \(."drop-overload") \(."busy-cycles") \(."idle-cycles")"'; }
rekeys() { tunnel_field "$1" net "$2"; }
grown() { (($("${@:3}") >= $1 + $2)); }
both_rekeyed() { grown "$1" 1 rekeys a "$2" && grown "$1" 1 rekeys b "$2"; }
overloaded() { (($(counter b drop-overload) > $1)); }
# Whether nothing waits any more: of what a flood has sent all is carried or dropped.
drained() { local was; was=$(counter b sealed-packets); sleep 0.3; [[ $(counter b sealed-packets) == "$was" ]]; }

# pace: keeps the flood at two and a half times what is carried, so that twice as much arrives where the sender is held up.
pace() {
  local was now at
  while [[ ! -e $WORK/flood.until ]]; do
    was=$(counter b sealed-packets) at=${EPOCHREALTIME/./}
    sleep 0.3
    now=$(counter b sealed-packets)
    echo $((5 * (now - was) * 1000000 / (2 * (${EPOCHREALTIME/./} - at)) + 1000)) > "$WORK/rate.new"
    mv "$WORK/rate.new" "$WORK/rate"
  done
}
# flood_begin NAMESPACE / flood_end: sets what was CARRIED and DROPPED in so many MICROS, and how much of them was IDLE
# of 100; then, when nothing waits any more, how many were SENT, and of these how many are NAMED, carried or dropped.
flood_begin() {
  rm -f "$WORK/flood.until"
  read -r SEALED LEFT BUSY IDLE < <(worker)
  BEGAN=${EPOCHREALTIME/./}
  echo 1000 > "$WORK/rate"
  ip netns exec "$1" "$PYTHON" scripts/lib/flood.py 10.9.0.1 "$WORK/rate" $SIZE "$WORK/flood.until" 150 > "$WORK/flood" &
  FLOOD=$!
  PIDS+=("$FLOOD")
  pace &
  PACE=$!
  PIDS+=("$PACE")
  soon 20 "data are dropped" overloaded "$LEFT"
}
flood_end() {
  local sealed left busy idle
  kill -0 "$FLOOD" 2> /dev/null || die "the flood ended before what was to happen under it"
  read -r sealed left busy idle < <(worker)
  MICROS=$((${EPOCHREALTIME/./} - BEGAN)) CARRIED=$((sealed - SEALED)) DROPPED=$((left - LEFT))
  IDLE=$((100 * (idle - IDLE) / (busy - BUSY + idle - IDLE)))
  touch "$WORK/flood.until"
  ended "$FLOOD"
  ended "$PACE"
  soon 20 "nothing waits" drained
  SENT=$(cat "$WORK/flood")
  read -r sealed left busy idle < <(worker)
  NAMED=$((sealed - SEALED + left - LEFT))
}

# under_load NAMESPACE: all of it while that one floods.
under_load() {
  local asked_a asked_b ikes childs sent received
  # Whoever has nothing under way has heard all that was sent.
  sent=$(messages a sent) received=$(messages b received)
  flood_begin "$1"
  asked_a=$(explained a net probes_answered) asked_b=$(explained b net probes_answered)
  soon 30 "A has asked three times whether B lives, and heard" grown "$asked_a" 3 explained a net probes_answered
  soon 30 "B has of A" grown "$asked_b" 3 explained b net probes_answered
  hold "A calls for another tunnel" rv a initiate more
  soon 20 "it is up" tunnel_up b more
  for side in a b; do
    ikes=$(rekeys b ike_rekeys) childs=$(rekeys b child_rekeys)
    hold "$side rekeys the CHILD SA" rv $side rekey net
    soon 20 "both have new keys" both_rekeyed "$childs" child_rekeys
    hold "and the IKE SA" rv $side rekey net --ike
    soon 20 "both have new keys" both_rekeyed "$ikes" ike_rekeys
  done
  flood_end
  say "    carried $CARRIED, dropped $DROPPED in $((MICROS / 1000)) ms, idle $IDLE %; of $SENT offered $NAMED are accounted for"
  hold "the worker had no time to spare" test "$IDLE" -le 10
  hold "far more was offered than it carried" test $((CARRIED + DROPPED)) -ge $((CARRIED * 3 / 2))
  hold "most of what it did not carry is counted by that name" test $(((NAMED - CARRIED) * 4)) -ge $(((SENT - CARRIED) * 3))
  hold "no message of IKE found its ring full" test "$(counter b drop-punt-ike-full) $(counter b drop-punt-init-full)" = "0 0"
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  sent=$(($(messages a sent) - sent)) received=$(($(messages b received) - received))
  say "    of $sent datagrams of IKE that A sent B has $received; $(messages b resent) were sent again by B, $(messages a resent) by A, so far"
  hold "IKE has come through" test $((received * 10)) -ge $((sent * 9))
  hold "the tunnel has been up all the while" test "$(tunnel_field a net ups) $(tunnel_field b net ups)" = "1 1"
}

net_up
# The neighbour: what takes all there is of the slow tunnel, and an address that floods come from.
ip -n "$PUB" addr add 192.0.2.8/24 dev br0
ip -n "$PUB" addr add 192.0.2.9/24 dev br0
ip -n "$PUB" route add 10.9.0.0/24 via 192.0.2.2 src 192.0.2.9
in_ns "$PUB" nft -f - <<'N'
table inet hole {
  chain input {
    type filter hook input priority 0; policy accept;
    meta l4proto esp drop
  }
}
N
configure_ravelin a b psk aes128 1 $'dpd-interval = 1'
configure_ravelin b a psk aes128 1 $'dpd-interval = 1'
more a b 1 2 >> "$WORK/a.toml"
more b a 2 1 >> "$WORK/b.toml"
cat >> "$WORK/b.toml" <<C

[tunnel.slow]
local = "192.0.2.2"
remote = "192.0.2.8"
local-ts = ["10.2.0.0/24", "192.0.2.9/32"]
remote-ts = ["10.9.0.0/24"]

[tunnel.slow.manual]
suite = "3des-sha1"
inbound-spi = 4097
outbound-spi = 4098
inbound-key = "000102030405060708090a0b0c0d0e0f1011121314151617"
outbound-key = "101112131415161718191a1b1c1d1e1f2021222324252627"
inbound-integrity-key = "000102030405060708090a0b0c0d0e0f10111213"
outbound-integrity-key = "101112131415161718191a1b1c1d1e1f20212223"
C
sed -i '1i allow-legacy = true' "$WORK/b.toml"
"$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
rv a initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2

say "twice what the worker carries, by another port than IKE's"
under_load "$HB"
rv a terminate more > /dev/null
soon 10 "the other tunnel is gone" not tunnel_up b more

say "twice what it carries, in the queue that IKE comes by"
under_load "$PUB"

say "afterwards"
hold "host A reaches host B" pings "$HA" 10.2.0.2
hold "ravelind is alive" alive b
