#!/usr/bin/env bash
# A worker that stands still loses its tunnels, and only its, to the other.
#
#   host A --- ravelind, two workers === public segment === ravelind --- host B
#
# Under numbered UDP through two tunnels, one a worker, a worker of A is told to do nothing for a
# while. It is known within a second, its tunnel carries again on the other worker, the other
# tunnel loses nothing and keeps its SAs, and nothing leaks. Then the worker polls again.
#
# A's devices have one queue each, the first worker's, so that what is lost is the second
# worker's doing alone. They are none that ravelind cages, so the scenario does. One more has two
# queues and a redirection table: it receives nothing, but is told what a card would be told.
# Alone: what stands still is to be known within a second.
. "$(dirname "$0")/../lib/scenario.sh"
. scripts/lib/stall.sh

STILL=10 # seconds

told() { rv a --json events | jq -e --arg t "$1" '[.events[] | select(.what == "port-spread" and .text == $t)] | length == 1' > /dev/null; }
healthy() { rv a doctor > /dev/null; }
explained() { rv a explain "$1" > /dev/null; }
some_lost() { jq -e '.lost > 0 and .lost < .sent / 2 and .duplicates == 0' "$1" > /dev/null; }
# Milliseconds from the moment $BEGAN to the first event of a kind.
after() { rv a --json events | jq -r --arg w "$1" --argjson t "$BEGAN" '[.events[] | select(.what == $w)][0] | ((.time - $t) * 1000 | floor)'; }

two_tunnels 2
printf '\n[port.spare]\ndevice = "vdev:net_null,no-rx=1"\n' >> "$WORK/a.toml"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
needs_stalls
rv a initiate net > /dev/null; rv a initiate more > /dev/null
soon 15 "one tunnel is up" tunnel_up a net
soon 15 "and another" tunnel_up a more
if owned net 1; then moves=net stays=more; else moves=more stays=net; fi
hold "one worker has $stays" owned "$stays" 0
hold "the other has $moves" owned "$moves" 1
read -r left right <<< "$(between "$moves")"
read -r a b <<< "$(between "$stays")"
soon 5 "$stays carries" in_ns "$HA" ping -c 1 -W 1 -I "$a" "$b"
soon 5 "$moves carries" in_ns "$HA" ping -c 1 -W 1 -I "$left" "$right"
kept=$(spis "$stays") old=$(spis "$moves")

capture_start "$WORK/public.pcap"
UDP_UNTIL=$WORK/udp.until
mkdir "$WORK/second"
(WORK=$WORK/second numbered_udp 200 120 "$left" "$right" > "$WORK/second.result") &
second=$!
numbered_udp "${RATE:-1000}" 120 "$a" "$b" > "$WORK/udp.result" &
TRAFFIC=$!
sleep 0.5 # the senders find each other; what follows is to happen under way
BEGAN=$(date +%s.%N)
stand_still 1 "$STILL" > /dev/null
soon 5 "it is known" event worker-stalled
hold "within a second: $(after worker-stalled) ms" test "$(after worker-stalled)" -le 1000
soon 2 "the device with a table leaves its queue out" told "port spare: uses queues 0; nobody polls 1"
soon 5 "$moves has arrived on the other worker" event tunnel-arrived
say "    after $(after tunnel-arrived) ms"
hold "it has new SAs there" owned "$moves" 0
hold "none of them old" test "$(jq -n --argjson a "$old" --argjson b "$(spis "$moves")" '$a - $b == $a')" = true
hold "it carries again" pings "$HA" "$right" -I "$left"
hold "show workers says NO" polls 1 false
hold "doctor finds an error" not healthy
hold "explain says it is up" explained "$moves"
hold "the worker still stands still" polls 1 false

say "the worker polls again"
soon $((STILL + 10)) "it is known" polls 1 true
hold "by an event" event worker-alive
soon 2 "the queue is used again" told "port spare: uses all its queues"
hold "nothing has moved back" owned "$moves" 0
hold "$moves carries" pings "$HA" "$right" -I "$left"
traffic_stop
wait "$second" || die "numbered UDP through $moves failed"
capture_stop "$WORK/public.pcap"
say "    through $moves: $(cat "$WORK/second.result")"
hold "$stays: none missing, none twice" nothing_missing "$UDP"
hold "$stays has the same SAs" test "$(spis "$stays")" = "$kept"
hold "$moves: most arrived, none twice" some_lost "$WORK/second.result"
hold "no inner packet on the public side" test "$(count_packets "$WORK/public.pcap" 'net 10.0.0.0/8')" -eq 0
