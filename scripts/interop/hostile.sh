#!/usr/bin/env bash
# Hostile bytes at a gateway that has a tunnel up.
#
#   host A --- ravelind === public segment === ravelind --- host B
#                                 |
#                          hostile neighbour
#
# The neighbour sends garbage, truncated, mutated, looping, lying and fragmented IKE and ESP,
# with the peer's own address as source too; hostile clients crowd the control socket. All the
# while numbered UDP passes the tunnel: none missing. Afterwards the process lives, its memory
# has not grown beyond a bound, a second attack grows it no further, drops have been counted
# by name, and a rekey still works.
. "$(dirname "$0")/../lib/scenario.sh"
rounds=$((FULL ? 100000 : 4000))
seed=${SEED:-$RANDOM}

drops() { rv b --json show counters | jq -r '.counters[] | select(.value > 0 and (.name | startswith("drop-"))) | "\(.name)=\(.value)"' | paste -sd' '; }
attack() { "$PYTHON" scripts/lib/hostile.py wire "$PUBLIC" "$GWB" "$WORK/seed.pcap" "$rounds" "$1"; }
# grown FROM KB: resident memory has grown by at most so much.
grown() { local now; now=$(resident b); say "    resident memory: $1 kB, now $now kB"; ((now - $1 <= $2)); }

net_up
# The neighbour is a third station on the segment.
PUBLIC=$PUB
ip link add wan0 netns "$PUB" type veth peer name to-h netns "$PUB"
ip -n "$PUB" link set to-h master br0 up
ip -n "$PUB" link set wan0 up
make_pki "$WORK/pki" ec
ESN=true
configure_ravelin a b ec aes128 1
configure_ravelin b a ec aes128 2
start_ravelind "$GWA" a
start_ravelind "$GWB" b
ip netns exec "$PUB" tcpdump -i br0 -U -w "$WORK/seed.pcap" -Z root 'udp port 500 or udp port 4500 or proto 50' > "$WORK/tcpdump" 2>&1 &
PIDS+=($!)
sniffer=$!
wait_for 5 grep -q 'listening on' "$WORK/tcpdump" || die "tcpdump did not start"
rv b initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
hold "hosts ping" pings "$HA" 10.2.0.2
enough() { (($(count_packets "$WORK/seed.pcap" "$ESP_FILTER") >= 10)); }
soon 5 "ESP was captured to be mutated" enough
kill "$sniffer"; ended "$sniffer"

resident_before=$(resident b)
traffic_start 1000 600
sent=$(attack "$seed") || die "the attack broke off"
say "the public segment: $sent"
traffic_stop
hold "none missing, none twice" nothing_missing "$UDP"
hold "ravelind is alive" alive b
hold "the tunnel is up" tunnel_up b net
say "    $(drops)"
for name in bad-icv sa-miss esp-length malformed-ip malformed-udp fragment-overlap fragment-malformed; do
  hold "counted: $name" test "$(counter b "drop-$name")" -gt 0
done
hold "memory grew by at most 32 MB" grown "$resident_before" 32768
resident_before=$(resident b)
sent=$(attack $((seed + 1))) || die "the attack broke off"
say "the public segment again: $sent"
hold "memory grew no further" grown "$resident_before" 8192

resident_before=$(resident b)
# crowd SEED: hostile clients at the control socket.
crowd() { "$PYTHON" scripts/lib/hostile.py socket "$WORK/b.sock" $((FULL ? 20000 : 500)) "$1"; }
sent=$(crowd "$seed") || die "the control socket did not stand it"
say "the control socket: $sent"
hold "ravelind is alive" alive b
# Each thread that serves a client has memory of its own, which the next one takes over when it ends.
hold "memory grew by at most 96 MB" grown "$resident_before" 98304
resident_before=$(resident b)
sent=$(crowd $((seed + 1))) || die "the control socket did not stand it"
say "the control socket again: $sent"
hold "memory grew no further" grown "$resident_before" 16384

rekeyed() { (($(tunnel_field b net child_rekeys) >= 1)); }
rv b rekey net > /dev/null
soon 10 "a rekey still works" rekeyed
hold "hosts ping" pings "$HA" 10.2.0.2
