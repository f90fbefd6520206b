#!/usr/bin/env bash
# GRE and IP in IP, judged by scapy, which shares no code with ravelind; and between two ravelinds.
#
#   scapy as peer === public segment === ravelind --- scapy as host
#   192.0.2.1, 2001:db8::1      192.0.2.2, 2001:db8::2     10.2.0.2, fd00:2::2
#
# IPv4 and IPv6 outside and inside, keys and none, random sizes, with one worker and with two; outer fragments; mistakes
# of a peer, each counted by name. Then two ravelinds: hosts reach each other and the far end of the tunnel, whose kernels
# answer; a tunnel whose dest-ip is on no link of ours is down, and says so; a change of configuration is carried out at
# once.
. "$(dirname "$0")/../lib/scenario.sh"
. scripts/lib/ip_tunnels.sh
"$PYTHON" -c 'import scapy.all' 2> /dev/null || { say "skipped: python3-scapy is missing"; exit 77; }
count=$((FULL ? 200 : 6))

configure() { # ME PEER WORKERS: one GRE tunnel with keys to the other
  side "$2"
  local remote=$OUTER4 networks="$NETS"
  side "$1"
  local number=${OUTER4##*.}
  cat <<C
interface.wan = { device = "af_packet:wan0", addresses = ["$OUTER4/24", "$OUTER6/64"] }
interface.lan = { device = "af_packet:lan0", addresses = ["$GATE4/24", "$GATE6/64"] }
[workers]
count = $3
cores = [$(seq -s, 0 $(($3 - 1)))]
[ip-tunnel.net]
local = "$OUTER4"
remote = "$remote"
gre-header = true
send-key = $number
receive-key = $((3 - number))
addresses = ["10.9.0.$number/30", "fd09::$number/64"]
dest-ip = ["10.9.0.$((3 - number))", "fd09::$((3 - number))"]
packets = { private-tcp-mss-adjust = "auto" }
C
  local network
  for network in ${networks//,/ }; do printf '[[route]]\ndestination = "%s"\nip-tunnel = "net"\n' "$network"; done
}

net_up
gateway_a_addresses
silence "$GWA"
for workers in 1 2; do
  say "ip-tunnels against scapy, $workers worker(s)"
  judged ip_tunnel_oracle "$count" "$workers"
done
ip -n "$GWA" addr flush dev wan0
ip -n "$GWA" addr flush dev lan0

say "ip-tunnels between two ravelinds"
INNER="4 6"
configure a b 1 > "$WORK/a.toml"
configure b a 2 > "$WORK/b.toml"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
soon 5 "the tunnel is up" tunnels_up
soon 10 "host A answers host B" in_ns "$HB" ping -c 1 -W 1 10.1.0.2
hold "five times" pings "$HB" 10.1.0.2
soon 10 "by IPv6" in_ns "$HB" ping -c 1 -W 1 fd00:1::2
hold "with packets that are cut" pings "$HB" 10.1.0.2 -s 1600
hold "the far end's kernel answers ours" pings "$GWB" 10.9.0.1
hold "by IPv6" pings "$GWB" fd09::1
head -c 1000000 /dev/urandom > "$WORK/sent"
transfer "$WORK/sent" "$WORK/received"
hold "a file arrives as it was" cmp "$WORK/sent" "$WORK/received"
rv b show ip-tunnels net >&2
before=$(rv b --json show ip-tunnels | jq '.ip_tunnels[0].out_packets')
sed -i 's/^send-key = .*/send-key = 99/' "$WORK/b.toml"
rv b config apply > "$WORK/applied" || { cat "$WORK/applied" >&2; die "the change was refused"; }
hold "it is told" grep -q 'changed: ip-tunnel.net' "$WORK/applied"
hold "another key does not pass" not in_ns "$HB" ping -q -c 1 -W 0.5 10.1.0.2 > /dev/null
hold "and is counted there" test "$(rv a --json show ip-tunnels | jq '.ip_tunnels[0].in_errors')" -gt 0
hold "counts go on" test "$(rv b --json show ip-tunnels | jq '.ip_tunnels[0].out_packets')" -gt "$before"
sed -i 's/^send-key = .*/send-key = 2/; s/^dest-ip = .*/dest-ip = ["10.9.7.1"]/' "$WORK/b.toml"
rv b config apply > /dev/null || die "the change was refused"
reason() { [[ $(rv b --json show ip-tunnels | jq -r '.ip_tunnels[0].reason_code') == "$1" ]]; }
hold "a dest-ip on no link of ours keeps it down" reason unresolved-dest-ip
hold "nothing passes" not in_ns "$HB" ping -q -c 1 -W 0.5 10.1.0.2 > /dev/null
rv b lookup 10.2.0.2 10.1.0.2 icmp > "$WORK/why" 2>&1 || :
hold "lookup says why" grep -q 'ip-tunnel-down.*10.9.7.1' "$WORK/why"
sed -i 's/^dest-ip = .*/dest-ip = ["10.9.0.1"]/' "$WORK/b.toml"
rv b config apply > /dev/null || die "the change was refused"
soon 5 "host A answers again" in_ns "$HB" ping -c 1 -W 1 10.1.0.2
