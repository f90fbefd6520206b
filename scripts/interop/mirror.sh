#!/usr/bin/env bash
# Mirrors: what passes a tunnel, copied to an analyser beside the gateway, as it is and by GRE.
#
#   host A --- ravelind === public segment === ravelind --- host B
#                                                 |
#                                              analyser, 10.88.0.2
#
# Pings and numbered UDP through the tunnel. The clear side, copied to a station on a link of its own, is octet by octet
# what host B sent and received, but for the hop; so it is by GRE, which scapy takes apart; of the encrypted side it is
# the ESP packets of the public segment. Directions, mirrors that come and go with the configuration, and traffic of which
# none is missing meanwhile.
. "$(dirname "$0")/../lib/scenario.sh"
"$PYTHON" -c 'import scapy.all' 2> /dev/null || { say "skipped: python3-scapy is missing"; exit 77; }
AN=rvan$NET_ID
trap 'status=$?; ((status == 0 || status == 77)) || scenario_logs; net_cleanup; ip netns del "$AN" 2> /dev/null || :' EXIT

# sniff NAMESPACE DEVICE FILE [FILTER]: until unsniff.
SNIFFERS=()
sniff() {
  ip netns exec "$1" tcpdump -i "$2" -s 0 -B 16384 --immediate-mode -U -w "$3" -Z root "${@:4}" > "$3.out" 2>&1 &
  SNIFFERS+=($!)
  PIDS+=($!)
  wait_for 5 grep -q 'listening on' "$3.out" || die "tcpdump did not start"
}
unsniff() { local pid; for pid in "${SNIFFERS[@]}"; do kill "$pid"; wait "$pid" || :; done; SNIFFERS=(); }
# same WHAT FILE FILE: both have the same packets of that kind, `clear` (ICMP and UDP between the hosts, all but what a hop
# changes) or `esp`; at least 20.
same() {
  "$PYTHON" - "$@" <<'P'
import sys
from scapy.all import GRE, IP, UDP, rdpcap
what, *files = sys.argv[1:]
def taken_out(packet):
    """What GRE of the analyser's key carries, or the packet."""
    return packet[GRE].payload if GRE in packet and packet[GRE].key == 7 else packet
def key(packet):
    ip = packet[IP].copy()
    ip.ttl, ip.chksum = 0, 0
    return bytes(ip)
def wanted(packet):
    if IP not in packet: return False
    ip = packet[IP]
    return ip.proto == 50 if what == "esp" else ip.proto in (1, 17) and ip.src.startswith("10.") and ip.dst.startswith("10.") and "10.88" not in ip.src
one, other = ([key(p) for p in map(taken_out, rdpcap(f)) if wanted(p)] for f in files)
ok = sorted(one) == sorted(other) and len(one) >= 20
print(f"    {what}: {len(one)} and {len(other)} packets", file=sys.stderr)
sys.exit(not ok)
P
}
copied() { [[ $(count_packets "$WORK/copies" "$2") == "$1" ]]; }
mirror() { # LINES: the one mirror from now on
  sed -i '/^# mirror/,$d' "$WORK/b.toml"
  printf '# mirror\n[mirror.one]\ntunnel = "net"\n%s\n' "$1" >> "$WORK/b.toml"
  rv b config apply > "$WORK/applied" || { cat "$WORK/applied" >&2; die "the mirror was refused"; }
}
field() { rv b --json show mirrors | jq -er ".mirrors[0].$1"; }
state() { [[ $(field state) == "$1" ]]; }
traffic() {
  hold "pings" pings "$HB" 10.1.0.2 -s 500
  hold "from the other side too" pings "$HA" 10.2.0.2 -s 1000
  local udp; udp=$(numbered_udp 500 1); say "    $udp"
  hold "numbered UDP, none missing" nothing_missing "$udp"
}

net_up
ip netns add "$AN"
ip -n "$AN" link set lo up
link "$GWB" span0 - "$AN" span0 10.88.0.2/24
STATION=$(ip -n "$AN" -j link show span0 | jq -r '.[0].address')
configure_ravelin a b psk aes128 1
configure_ravelin b a psk aes128 2
cat >> "$WORK/b.toml" <<C
[interface.span]
device = "af_packet:span0"
addresses = ["10.88.0.1/24"]
[ip-tunnel.far]
local = "10.88.0.1"
remote = "10.88.0.2"
gre-header = true
send-key = 7
packets = { outer-df = "clear" }
C
start_ravelind "$GWA" a
start_ravelind "$GWB" b
rv b initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
soon 10 "host A answers" in_ns "$HB" ping -c 1 -W 1 10.1.0.2

say "the clear side, to a station"
mirror "side = \"clear\"
to-interface = \"span\"
station = \"$STATION\""
hold "it is told" grep -q 'added: mirror.one' "$WORK/applied"
soon 5 "it is on" state on
sniff "$AN" span0 "$WORK/copies" 'ip and not host 10.88.0.1'
sniff "$HB" eth0 "$WORK/host" 'icmp or udp port 7000'
traffic
soon 10 "the copies are what host B sent and received" same clear "$WORK/copies" "$WORK/host"
unsniff
hold "each is counted" test "$(field packets)" -ge 1000
hold "none was lost" test "$(field lost)" = 0
rv b show mirrors >&2

say "one direction"
mirror "side = \"clear\"
direction = \"out\"
to-interface = \"span\"
station = \"$STATION\""
hold "it is told" grep -q 'changed: mirror.one' "$WORK/applied"
sniff "$AN" span0 "$WORK/copies" 'ip and not host 10.88.0.1'
hold "pings" pings "$HB" 10.1.0.2
soon 5 "what goes in is copied" copied 5 'icmp and src 10.2.0.2'
unsniff
hold "and nothing of what comes out" test "$(count_packets "$WORK/copies" 'src 10.1.0.2')" = 0

say "the encrypted side"
mirror "to-interface = \"span\"
station = \"$STATION\""
sniff "$AN" span0 "$WORK/copies" 'ip proto 50'
sniff "$PUB" br0 "$WORK/public" 'ip proto 50'
traffic
soon 10 "the copies are what was on the public segment" same esp "$WORK/copies" "$WORK/public"
unsniff

say "the clear side, by GRE"
mirror 'side = "clear"
to-ip-tunnel = "far"'
soon 5 "the analyser's address is known" in_ns "$AN" ping -c 1 -W 1 10.88.0.1
sniff "$AN" span0 "$WORK/copies" 'ip proto 47'
sniff "$HB" eth0 "$WORK/host" 'icmp or udp port 7000'
traffic
soon 10 "in GRE is what host B sent and received" same clear "$WORK/copies" "$WORK/host"
unsniff

say "none"
sed -i '/^# mirror/,$d' "$WORK/b.toml"
rv b config apply > "$WORK/applied"
hold "it is told" grep -q 'removed: mirror.one' "$WORK/applied"
sniff "$AN" span0 "$WORK/copies" 'not arp'
hold "pings" pings "$HB" 10.1.0.2
unsniff
hold "nothing is copied" test "$(count_packets "$WORK/copies" 'icmp and net 10.1.0.0/16')" = 0
hold "the journal has who copied cleartext" told mirrors 'one: clear side'
