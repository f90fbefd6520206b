#!/usr/bin/env bash
# Linux answers what it sees; here it must see little (the cage), and nothing may leave in clear.
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# A ping of the gateway's own address gets exactly one reply; IKE and ESP never draw an ICMP
# error; with the tunnel down, while it comes up, with ravelind stopped, and with ravelind
# killed, not one inner packet is on the public side; two private instances use the same
# 10.0.0.0/8 and each host reaches its own peer. And what is no worker keeps off the worker's CPU.
. "$(dirname "$0")/../lib/scenario.sh"

ICMP_ERRORS='(icmp and (icmp[0] == 3 or icmp[0] == 11 or icmp[0] == 5)) or (icmp6 and ip6[40] < 128)'
quiet() { # WHAT: the capture that ends now holds nothing in clear
  capture_stop "$WORK/quiet.pcap"; ((CAPTURE_LOST == 0)) || die "the capture lost packets"
  hold "$1: no inner packet on the public side" test "$(count_packets "$WORK/quiet.pcap" "$CLEAR_FILTER")" -eq 0
}
knock() { # both hosts try hard to reach each other
  local round
  for round in 1 2 3; do
    in_ns "$HB" ping -q -c 3 -i 0.05 -W 0.2 10.1.0.2 > /dev/null 2>&1 || :
    in_ns "$HA" ping -q -c 3 -i 0.05 -W 0.2 10.2.0.2 > /dev/null 2>&1 || :
    in_ns "$HB" ping -q -c 3 -i 0.05 -W 0.2 fd00:1::2 > /dev/null 2>&1 || :
    in_ns "$HB" bash -c 'for n in 1 2 3 4 5; do echo x > /dev/udp/10.1.0.2/7000; done' 2> /dev/null || :
  done
}
# replies NAMESPACE ADDRESS: echo replies per request.
replies() { in_ns "$1" ping -c 5 -i 0.1 -W 1 "$2" > "$WORK/ping" 2>&1; grep -c 'bytes from' "$WORK/ping"; }
one_each() { ! grep -q DUP "$WORK/ping" && [[ $(replies "$1" "$2") == 5 ]] && ! grep -q DUP "$WORK/ping"; }

# strays: threads of gateway A, which has one worker, on that worker's CPU, but for itself. With one CPU all share it.
strays() {
  local task
  for task in "/proc/$PID_a"/task/*; do
    [[ $(< "$task/comm") == rte-worker-* ]] || awk '/^Cpus_allowed_list/ { print $2 }' "$task/status"
  done | grep -E '^0([,-]|$)'
}

net_up
make_pki "$WORK/pki" ec
INNER="4 6" ON_DEMAND=true # the harder case: every packet asks for the tunnel
configure_ravelin a b ec aes128 1
configure_ravelin b a ec aes128 2
start_ravelind "$GWA" a
start_ravelind "$GWB" b
(($(nproc) == 1)) || hold "no thread but the worker may run on its CPU" not strays
: > "$WORK/ping"

# A station on the public segment, to ping from.
ip link add wan9 netns "$PUB" type veth peer name to-9 netns "$PUB"
ip netns add "$PUB-9" 2> /dev/null || :
trap 'status=$?; ((status)) && scenario_logs; traffic_end; net_cleanup; ip netns del "$PUB-9" 2> /dev/null || :' EXIT
ip -n "$PUB" link set wan9 netns "$PUB-9"
ip -n "$PUB" link set to-9 master br0 up
ip -n "$PUB-9" addr add 192.0.2.9/24 dev wan9
ip -n "$PUB-9" addr add 2001:db8::9/64 dev wan9 nodad
ip -n "$PUB-9" link set wan9 up
soon 5 "the gateway's public address answers" in_ns "$PUB-9" ping -c 1 -W 1 192.0.2.2
hold "exactly one reply each, IPv4" one_each "$PUB-9" 192.0.2.2
soon 5 "and its IPv6 address" in_ns "$PUB-9" ping -c 1 -W 1 2001:db8::2
hold "exactly one reply each, IPv6" one_each "$PUB-9" 2001:db8::2
soon 5 "the private address answers" in_ns "$HB" ping -c 1 -W 1 10.2.0.1
hold "exactly one reply each, private side" one_each "$HB" 10.2.0.1

say "the tunnel is down: the gateways do not hear each other"
ike_cut
capture_start "$WORK/quiet.pcap"
knock
quiet "tunnel down"
hold "nothing reached the other side" not in_ns "$HA" ping -c 1 -W 1 10.2.0.2
rv a terminate net > /dev/null
rv b terminate net > /dev/null
ike_joined

say "the tunnel comes up under traffic, carries it, and goes down"
capture_start "$WORK/quiet.pcap"
rv b initiate net > /dev/null
knock
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "hosts reach each other" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
in_ns "$PUB-9" "$PYTHON" - <<'P'
# Strangers' ESP and IKE, and to the ports beside them: no ICMP error may come back.
import logging
logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import ESP, IP, UDP, IPv6, Raw, send
for outer in (IP(dst="192.0.2.2"), IPv6(dst="2001:db8::2")):
    send([outer / ESP(spi=0x12345678, seq=1, data=b"x" * 64), outer / UDP(sport=500, dport=500) / Raw(b"x" * 40),
          outer / UDP(sport=4500, dport=4500) / Raw(b"y" * 40), outer / UDP(sport=4500, dport=4500) / Raw(bytes(44))], verbose=0)
P
rv b terminate net > /dev/null
knock # which brings it up again
quiet "up, down and up again"
hold "no ICMP error on the public side" test "$(count_packets "$WORK/quiet.pcap" "$ICMP_ERRORS")" -eq 0

say "somebody gives the device under a port an address: the instance is out of service"
rv b initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
code() { [[ $(rv b --json explain net | jq -r .code) == "$1" ]]; }
capture_start "$WORK/quiet.pcap"
ip -n "$GWB" addr add 198.51.100.9/32 dev lan0
soon 10 "explain says which wall fell" code RV-INST-003
knock
hold "nobody is answered" not in_ns "$PUB-9" ping -c 2 -i 0.2 -W 1 192.0.2.2
hold "the tunnel refuses" not rv b initiate net
quiet "out of service"
ip -n "$GWB" addr del 198.51.100.9/32 dev lan0
soon 10 "it returns to service" rv b initiate net
soon 20 "the tunnel is up again" tunnel_up b net
soon 5 "hosts reach each other" in_ns "$HB" ping -c 1 -W 1 10.1.0.2
wan_carrier() { [[ $(ip -n "$GWB" -o link show dev wan) == *"$1"* ]]; }
ip -n "$PUB" link set to-b down
soon 5 "a port without a link has a twin without a carrier" wan_carrier NO-CARRIER
ip -n "$PUB" link set to-b up
soon 5 "and gets it back" wan_carrier LOWER_UP
soon 10 "hosts reach each other" in_ns "$HB" ping -c 1 -W 1 10.1.0.2

say "ravelind is killed with the tunnel up"
rv b initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "hosts reach each other" in_ns "$HB" ping -c 1 -W 1 10.1.0.2
capture_start "$WORK/quiet.pcap"
stop_hard b
knock
quiet "ravelind killed"
hold "the killed gateway says nothing about ESP" test "$(count_packets "$WORK/quiet.pcap" "$ICMP_ERRORS")" -eq 0

say "ravelind starts again, and is stopped in order"
start_ravelind "$GWB" b
rv b initiate net > /dev/null
soon 20 "the tunnel is up again" tunnel_up b net
capture_start "$WORK/quiet.pcap"
stop b
knock
quiet "ravelind stopped"
hold "its peer was told" test "$(rv a --json events | jq '[.events[] | select(.what == "ike-down" and (.text | test("closed by the peer")))] | length')" -gt 0
