#!/usr/bin/env bash
# What an operator sees of single packets: copies of a tunnel's packets in clear and encrypted, and their paths.
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# Keys by hand, so that scapy has them too. While numbered UDP passes, gateway B writes a pcapng file of both sides; tcpdump
# sees the same packets on the public segment and at host B. tcpdump reads the file, and scapy finds in it every ESP packet
# octet by octet, decrypts it to the packet in clear that stands behind it, and reads SPI, number, worker and verdict in its
# comment. A trace names the stations. Who is neither root nor the daemon's user sees ESP and nothing in clear; every
# capture is in the journal with who began it; bounds hold.
. "$(dirname "$0")/../lib/scenario.sh"
"$PYTHON" -c 'import scapy.layers.ipsec' 2> /dev/null || { say "skipped: python3-scapy is missing"; exit 77; }

KEY=000102030405060708090a0b0c0d0e0f10111213
manual() { # ME PEER WORKERS INBOUND-SPI OUTBOUND-SPI
  configure_ravelin "$1" "$2" psk aes128 "$3"
  sed -i '/^local-id\|^remote-id\|^ike-policy\|^ipsec-transform = \|^on-demand\|^psk/d' "$WORK/$1.toml"
  cat >> "$WORK/$1.toml" <<C
[tunnel.net.manual]
suite = "aes128gcm16"
inbound-spi = $4
outbound-spi = $5
inbound-key = "$KEY"
outbound-key = "$KEY"

[control]
group = "nogroup"
C
}
# as_stranger ARGS...: the CLI as somebody of the socket's group.
as_stranger() { setpriv --reuid nobody --regid nogroup --clear-groups "$TARGET/ravelin" --socket "$WORK/b.sock" "$@"; }
refused_to_stranger() { as_stranger capture --side "$1" -n 1 --for 1s > "$WORK/refused" 2>&1 || :; grep -q 'only root' "$WORK/refused"; }
began() { rv b --json events | jq -e --arg t "$1" '[.events[] | select(.what == "capture-began" and (.text | contains($t)))] | length > 0' > /dev/null; }
capture_is_on() { ! [[ $(rv b --json events | jq '[.events[] | select(.what | startswith("capture-"))] | last | .what') == '"capture-ended"' ]]; }

net_up
chmod 755 "$WORK"
manual a b 1 3001 3002
manual b a 2 3002 3001
start_ravelind "$GWA" a
start_ravelind "$GWB" b
soon 10 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2

capture_start "$WORK/public.pcap" -s 0 -U
ip netns exec "$HB" tcpdump -i eth0 -s 0 -U --immediate-mode -w "$WORK/host.pcap" -Z root ip > "$WORK/host.out" 2>&1 &
PIDS+=($!); AT_HOST=$!
wait_for 5 grep -q 'listening on' "$WORK/host.out" || die "tcpdump did not start"
"$TARGET/ravelin" --socket "$WORK/b.sock" capture --tunnel net --side both -n 400 --for 20s -w "$WORK/both.pcapng" 2> "$WORK/capture.out" &
PIDS+=($!); CAPTURING=$!
soon 5 "the journal says who captures what" began 'clear and encrypted side, at most 400 packets, 67108864 octets, 20 s; by user 0'
numbered_udp 200 2 > /dev/null
wait "$CAPTURING" || die "the capture failed: $(cat "$WORK/capture.out")"
say "    $(cat "$WORK/capture.out")"
hold "it has what was asked for, and lost nothing" grep -q '^400 packets, 0 lost: it has what was asked for' "$WORK/capture.out"
kill "$AT_HOST"; wait "$AT_HOST" 2> /dev/null || :
capture_stop "$WORK/public.pcap"
hold "only its owner may read it" test "$(stat -c %a "$WORK/both.pcapng")" = 600
hold "tcpdump reads it" test "$(tcpdump -Z root -nn -r "$WORK/both.pcapng" 2> /dev/null | wc -l)" -eq 400
hold "scapy finds in it what passed, and what it decrypts to" "$PYTHON" scripts/lib/capture_judge.py "$WORK/both.pcapng" "$WORK/public.pcap" "$WORK/host.pcap" "$KEY"

say "other choices"
soon 5 "the workers show nothing more" not capture_is_on
in_ns "$HA" ping -q -i 0.05 -c 80 10.2.0.2 > /dev/null & PIDS+=($!)
rv b trace --tunnel net -n 6 --for 10s > "$WORK/trace" 2> "$WORK/trace.out"
sed 's/^/    /' < <(head -n 5 "$WORK/trace") >&2
hold "a trace names the stations, the SPI and the worker" grep -q 'decrypt' "$WORK/trace"
hold "and what left by which interface" grep -qE 'sent +[0-9]+ octets, by (lan|wan)' "$WORK/trace"
hold "with the verdict" grep -q 'verdict=forward spi=0x00000bb' "$WORK/trace"
soon 5 "the trace has ended" not capture_is_on
hold "a stranger may not see packets in clear" refused_to_stranger clear
hold "nor frames" refused_to_stranger wire
in_ns "$HA" ping -q -i 0.05 -c 60 10.2.0.2 > /dev/null & PIDS+=($!)
as_stranger capture --side encrypted -n 2 --for 10s > "$WORK/stranger" 2>&1
hold "but ESP" grep -q '^in  encrypted\|^out encrypted' "$WORK/stranger"
soon 5 "that has ended" not capture_is_on
rv b capture --side wire --interface lan --host 10.2.0.2 --snap 64 -n 2 --for 10s -w "$WORK/wire.pcapng" 2> /dev/null
hold "frames of an interface" test "$(tcpdump -Z root -nn -e -r "$WORK/wire.pcapng" icmp 2> /dev/null | wc -l)" -eq 2
rv b capture --interface nope > "$WORK/nope" 2>&1 || :
hold "an unknown interface is refused by name" grep -q 'interface "nope" does not exist; configured: lan, wan' "$WORK/nope"
rv b capture --host 203.0.113.9 --for 1s > "$WORK/none" 2>&1
hold "a bound in time" grep -q '^0 packets, 0 lost: its time is over' "$WORK/none"
hold "ravelind is alive" alive b
