# A network in namespaces for the demo and the interop scenarios. Source it; do not run it.
#
#   host A --- gateway A === public segment === gateway B --- host B
#   10.1.0.2   10.1.0.1  192.0.2.1       192.0.2.2  10.2.0.1   10.2.0.2
#   fd00:1::2  fd00:1::1 2001:db8::1   2001:db8::2  fd00:2::1  fd00:2::2
#
# Gateway B is always ravelind; gateway A is the peer. The public segment is a bridge in a
# namespace of its own, so that what passes is captured by neither gateway.

NET_ID=$$
PUB=rvp$NET_ID GWA=rvga$NET_ID GWB=rvgb$NET_ID HA=rvha$NET_ID HB=rvhb$NET_ID
WORK=$(mktemp -d /tmp/ravelin.XXXXXX)
PIDS=()
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TARGET=${RAVELIN_BIN:-${CARGO_TARGET_DIR:-$ROOT/target}/release}
. "$ROOT/scripts/lib/pki.sh"

# What runs in the background is started with `ip netns exec` itself, which becomes the program:
# a function would leave a shell between us and it, and signals would not arrive.
in_ns() { local ns=$1; shift; ip netns exec "$ns" "$@"; }
say() { printf '%s\n' "$*" >&2; }
die() { say "FAILED: $*"; exit 1; }

net_cleanup() {
  local pid
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || :; done
  for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || :; done
  local ns
  for ns in "$PUB" "$GWA" "$GWB" "$HA" "$HB"; do ip netns del "$ns" 2>/dev/null || :; done
  if [[ -n ${KEEP_FILES:-} ]]; then say "kept $WORK"; else rm -rf "$WORK"; fi
}

# net_up: the five namespaces and their links. Frames between veths carry unfinished
# checksums and may be far larger than the MTU, because the kernel leaves that work to a
# device that is not there; a packet socket sees them as they are. A gateway that forwards
# them would send broken packets, so every end has these offloads off.
net_up() {
  local ns dev
  for ns in "$PUB" "$GWA" "$GWB" "$HA" "$HB"; do
    ip netns add "$ns"
    ip -n "$ns" link set lo up
  done
  ip -n "$PUB" link add br0 type bridge
  in_ns "$PUB" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
  ip -n "$PUB" link set br0 up
  ip link add wan0 netns "$GWA" type veth peer name to-a netns "$PUB"
  ip link add wan0 netns "$GWB" type veth peer name to-b netns "$PUB"
  ip link add eth0 netns "$HA" type veth peer name lan0 netns "$GWA"
  ip link add eth0 netns "$HB" type veth peer name lan0 netns "$GWB"
  for dev in to-a to-b; do ip -n "$PUB" link set "$dev" master br0 up; done
  for ns in "$GWA" "$GWB"; do ip -n "$ns" link set wan0 up; ip -n "$ns" link set lan0 up; done
  for ns in "$HA" "$HB"; do ip -n "$ns" link set eth0 up; done
  for ns in "$GWA" "$GWB" "$HA" "$HB"; do
    for dev in wan0 lan0 eth0; do
      in_ns "$ns" ethtool -K "$dev" tx off rx off tso off gso off gro off >/dev/null 2>&1 || :
    done
  done
  for dev in to-a to-b; do in_ns "$PUB" ethtool -K "$dev" tx off tso off gso off gro off >/dev/null 2>&1 || :; done
  host_up "$HA" 10.1.0.2/24 10.1.0.1 fd00:1::2/64 fd00:1::1
  host_up "$HB" 10.2.0.2/24 10.2.0.1 fd00:2::2/64 fd00:2::1
}

# link NS DEV ADDRESS PEER-NS PEER-DEV PEER-ADDRESS: two namespaces next to each other, offloads off as above; "-" for
# no address.
link() {
  ip link add "$2" netns "$1" type veth peer name "$5" netns "$4"
  [[ $3 == - ]] || ip -n "$1" addr add "$3" dev "$2"
  [[ $6 == - ]] || ip -n "$4" addr add "$6" dev "$5"
  ip -n "$1" link set "$2" up
  ip -n "$4" link set "$5" up
  in_ns "$1" ethtool -K "$2" tx off rx off tso off gso off gro off > /dev/null 2>&1 || :
  in_ns "$4" ethtool -K "$5" tx off rx off tso off gso off gro off > /dev/null 2>&1 || :
}

host_up() { # namespace, address, gateway, address6, gateway6
  ip -n "$1" addr add "$2" dev eth0
  ip -n "$1" route add default via "$3"
  ip -n "$1" addr add "$4" dev eth0 nodad
  ip -n "$1" -6 route add default via "$5"
}

# wait_for SECONDS COMMAND...: until the command succeeds; no fixed sleeps anywhere.
wait_for() {
  local until=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || return 1
    sleep 0.1
  done
}

# start_ravelind NS NAME: runs ravelind on $WORK/NAME.toml; its socket is $WORK/NAME.sock, its state in $WORK/NAME.state.
# DAEMON_ENVIRONMENT has variables for it, NAME=VALUE each.
DAEMON_ENVIRONMENT=()
start_ravelind() {
  local ns=$1 name=$2
  ip netns exec "$ns" env "${DAEMON_ENVIRONMENT[@]}" "$TARGET/ravelind" --config "$WORK/$name.toml" --socket "$WORK/$name.sock" --state "$WORK/$name.state" > "$WORK/$name.log" 2>&1 &
  PIDS+=($!)
  eval "PID_$name=$!"
  wait_for 20 rv "$name" show version || { tail -n 20 "$WORK/$name.log" >&2; die "ravelind $name did not start"; }
}

# rv NAME ARGS...: the CLI against that ravelind.
rv() { local name=$1; shift; "$TARGET/ravelin" --socket "$WORK/$name.sock" "$@"; }

# clock_shim: $WORK/clock.so, which gives a program that it is loaded into another time of day.
clock_shim() { gcc -shared -fPIC -O1 -o "$WORK/clock.so" "$ROOT/scripts/lib/clock.c"; }

# tunnel_up NAME TUNNEL: whether that ravelind says the tunnel is up.
tunnel_up() { rv "$1" --json show tunnels | jq -e --arg t "$2" '.tunnels[] | select(.name == $t) | .state == "up"'; }

# ike_cut / ike_joined: whether IKE passes the public segment. A packet for a tunnel that is down may
# have ravelind negotiate one, so "down" needs a reason: the peer is not heard.
ike_cut() {
  in_ns "$PUB" nft -f - <<'N'
table bridge cut {
  chain forward {
    type filter hook forward priority 0; policy accept;
    udp dport { 500, 4500 } drop
  }
}
N
}
ike_joined() { in_ns "$PUB" nft delete table bridge cut; }

# rekeys_held requests|answers drop|accept: until ike_joined, CREATE_CHILD_SA's requests and answers, or its answers alone,
# do not pass from gateway B, and from A they are dropped or let through; all else passes. rekeys_held_from a|b|ab: whether
# there were some.
rekeys_held() {
  local octets=0xff00 value=0x2400 # exchange type and flags, octets 18 and 19 of the header of IKE
  [[ $1 == requests ]] || octets=0xff20 value=0x2420
  in_ns "$PUB" nft -f - <<N
add table bridge cut
delete table bridge cut
table bridge cut {
  counter a { }
  counter b { }
  chain side {
    ip saddr 192.0.2.1 counter name a $2
    ip saddr 192.0.2.2 counter name b drop
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    udp dport 500 @th,208,16 & $octets == $value goto side
    udp dport 4500 @th,64,32 0 @th,240,16 & $octets == $value goto side
  }
}
N
}
rekeys_held_from() { in_ns "$PUB" nft -j list counters table bridge cut | jq -e --arg s "$1" 'all(.nftables[].counter // empty; (.name | inside($s) | not) or .packets > 0)' > /dev/null; }

# clear_watched / nothing_clear: what passes the public segment from now on; whether ESP did, and nothing between the inner
# networks, nor GRE. It counts every packet, however many there are.
clear_watched() {
  in_ns "$PUB" nft -f - <<'N'
add table bridge watch
delete table bridge watch
table bridge watch {
  counter sealed { }
  counter clear { }
  chain forward {
    type filter hook forward priority -10; policy accept;
    ip saddr 10.0.0.0/8 counter name clear
    ip6 saddr fd00::/8 counter name clear
    ip protocol gre counter name clear
    ip6 nexthdr gre counter name clear
    ip protocol esp counter name sealed
    ip6 nexthdr esp counter name sealed
    udp dport 4500 @th,64,32 != 0 counter name sealed
  }
}
N
}
nothing_clear() { [[ $(in_ns "$PUB" nft -j list counters table bridge watch | jq '[.nftables[].counter // empty | {(.name): .packets}] | add | .clear == 0 and .sealed > 0') == true ]]; }

# capture_start FILE [TCPDUMP OPTIONS] / capture_stop: the public segment, whole.
capture_start() {
  ip netns exec "$PUB" tcpdump -i br0 -s 160 -B 65536 "${@:2}" -w "$1" -Z root > "$1.out" 2>&1 &
  CAPTURE=$!
  PIDS+=("$CAPTURE")
  wait_for 5 grep -q 'listening on' "$1.out" || die "tcpdump did not start"
}
# Sets CAPTURE_LOST. Not for a subshell: it must wait until the file is written.
capture_stop() { # FILE
  kill "$CAPTURE"
  wait "$CAPTURE" || :
  CAPTURE_LOST=$(awk '/dropped by (kernel|interface)/ { lost += $1 } END { print lost + 0 }' "$1.out")
}
# Packets of the capture that are ESP, raw or in UDP; and those between the inner networks.
count_packets() { tcpdump -Z root -r "$1" -nn "$2" 2>>"$1.out" | wc -l; }
ESP_FILTER='ip proto 50 or ip6 proto 50 or (udp port 4500 and udp[8:4] != 0)'
CLEAR_FILTER='net 10.1.0.0/16 or net 10.2.0.0/16 or net fd00::/16'
