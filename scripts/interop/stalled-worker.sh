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
. "$(dirname "$0")/../lib/scenario.sh"

STILL=10 # seconds

# more ME PEER NUMBER PEER'S-NUMBER: a second tunnel, between networks of its own.
more() {
  cat <<C

[tunnel.more]
local = "192.0.2.$3"
remote = "192.0.2.$4"
local-id = "more.$1.example"
remote-id = "more.$2.example"
psk = "$PSK more"
local-ts = ["10.2$3.0.0/24"]
remote-ts = ["10.2$4.0.0/24"]
C
}
# also NAMESPACE NUMBER PEER'S-NUMBER: the host is in the second network too.
also() {
  ip -n "$1" addr add "10.2$2.0.2/24" dev eth0
  ip -n "$1" route add "10.2$3.0.0/24" via "10.2$2.0.1" src "10.2$2.0.2"
}
cage() { # DEVICE: the kernel's stack in gateway A sees nothing of it
  in_ns "$GWA" nft "add table netdev $1; add chain netdev $1 in { type filter hook ingress device $1 priority 0; policy drop; }"
  in_ns "$GWA" sysctl -qw "net.ipv6.conf.$1.disable_ipv6=1"
}
owner() { rv a --json show sa | jq -r --arg t "$1" '[.sas[] | select(.tunnel == $t) | .worker] | unique | join(" ")'; }
owned() { [[ $(owner "$1") == "$2" ]]; }
spis() { rv a --json show sa | jq -c --arg t "$1" '[.sas[] | select(.tunnel == $t) | .spi] | sort'; }
polls() { rv a --json show workers | jq -e --argjson w "$1" --argjson is "$2" '.workers[] | select(.id == $w) | .alive == $is' > /dev/null; }
event() { rv a --json events | jq -e --arg w "$1" '[.events[] | select(.what == $w)] | length > 0' > /dev/null; }
told() { rv a --json events | jq -e --arg t "$1" '[.events[] | select(.what == "port-spread" and .text == $t)] | length == 1' > /dev/null; }
healthy() { rv a doctor > /dev/null; }
explained() { rv a explain "$1" > /dev/null; }
some_lost() { jq -e '.lost > 0 and .lost < .sent / 2 and .duplicates == 0' "$1" > /dev/null; }
# Milliseconds from the moment $BEGAN to the first event of a kind.
after() { rv a --json events | jq -r --arg w "$1" --argjson t "$BEGAN" '[.events[] | select(.what == $w)][0] | ((.time - $t) * 1000 | floor)'; }
stand_still() { # WORKER SECONDS
  local call='{"jsonrpc":"2.0","id":1,"method":"test.stand-still","params":{"worker":%d,"milliseconds":%d}}\n'
  # shellcheck disable=SC2059
  printf "$call" "$1" $(($2 * 1000)) | socat -t 2 - "UNIX-CONNECT:$WORK/a.sock"
}
between() { # the hosts of a tunnel: A's, then B's
  if [[ $1 == net ]]; then echo 10.1.0.2 10.2.0.2; else echo 10.21.0.2 10.22.0.2; fi
}

net_up
also "$HA" 1 2
also "$HB" 2 1
cage wan0
cage lan0
configure_ravelin a b psk aes128 2
configure_ravelin b a psk aes128 1
sed -i 's/"af_packet:\(.*\)", add/"vdev:net_af_packet,iface=\1", add/; s|"10.1.0.1/24"|&, "10.21.0.1/24"|' "$WORK/a.toml"
sed -i 's|"10.2.0.1/24"|&, "10.22.0.1/24"|' "$WORK/b.toml"
printf '\n[port.spare]\ndevice = "vdev:net_null,no-rx=1"\n' >> "$WORK/a.toml"
more a b 1 2 >> "$WORK/a.toml"; more b a 2 1 >> "$WORK/b.toml"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
stand_still 7 0 | grep -q '"kind":"done"' || { say "skipped: this ravelind has no test.stand-still"; exit 77; }
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
