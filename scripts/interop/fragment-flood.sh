#!/usr/bin/env bash
# Datagrams of which the end never comes, while the peer's own packets come in fragments.
#
#   host A --- ravelind === public segment === ravelind --- host B
#                                 |
#                          hostile neighbour
#
# Gateway A cuts what it encrypts at 1280 octets. The neighbour begins datagrams, a million in a full run, from addresses of
# its own. Every ping of host A is put together and answered meanwhile; memory stays flat; what was begun is counted, by the
# share of its source or by its time, and nothing of it is held afterwards.
. "$(dirname "$0")/../lib/scenario.sh"
"$PYTHON" -c 'import scapy.all' 2> /dev/null || { say "skipped: python3-scapy is missing"; exit 77; }
count=$((FULL ? 1000000 : 40000)) rate=20000
OUTER=6

settled() { [[ $(counter b held) == 0 ]]; }
even() {
  rv b --json show counters | jq -e '[.counters[] | {(.name): .value}] | add |
    .received + .injected + ."handed-in" + .made == .transmitted + .dropped + .punted + ."handed-out" + .absorbed'
}
grown() { local now; now=$(resident b); say "    resident memory: $1 kB, now $now kB"; ((now - $1 <= $2)); }

net_up
ip link add wan0 netns "$PUB" type veth peer name to-h netns "$PUB"
ip -n "$PUB" link set to-h master br0 up
ip -n "$PUB" link set wan0 up
configure_ravelin a b psk aes128 1
configure_ravelin b a psk aes128 2
printf '[tunnel.net.packets]\nencapsulated-ip-mtu = 1280\n' >> "$WORK/a.toml"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
rv b initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
soon 10 "host B answers" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
hold "a packet that comes in fragments" pings "$HA" 10.2.0.2 -s 1400
reassembled=$(counter b reassembled)
hold "was put together" test "$reassembled" -ge 5
resident_before=$(resident b)
"$PYTHON" scripts/lib/hostile.py incomplete "$PUB" "$GWB" "$count" "$rate" > "$WORK/flood" &
flood=$!
PIDS+=("$flood")
asked=$((count / rate * 20))
in_ns "$HA" ping -q -c "$asked" -i 0.05 -W 2 -s 1400 10.2.0.2 > "$WORK/ping" || { cat "$WORK/ping" >&2; die "host B does not answer"; }
wait "$flood" || die "the flood broke off"
say "    $(cat "$WORK/flood"); $(tail -n 2 "$WORK/ping" | head -n 1)"
hold "every ping was answered" grep -q ' 0% packet loss' "$WORK/ping"
hold "by packets put together" test "$(counter b reassembled)" -ge $((reassembled + asked))
full=$(counter b drop-reassembly-full) late=$(counter b drop-reassembly-timeout)
say "    refused by their share $full, given up in time $late"
hold "what was begun is counted" test $((full + late)) -ge $((count * 9 / 10))
hold "memory stayed flat" grown "$resident_before" 8192
soon 10 "nothing of it is held" settled
hold "every frame is accounted for" even
hold "ravelind is alive" alive b
