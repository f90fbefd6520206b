#!/usr/bin/env bash
# Raw ESP (IP protocol 50) with keys by hand against DPDK's ipsec-secgw.
#
#   host A --- ipsec-secgw === public segment === ravelind --- host B
#
# An IPv4 tunnel with AES-128 (10.1.0.0/24, 10.2.0.0/24 between 192.0.2.1 and .2) and an IPv6
# tunnel with AES-256 (fd00:1::/64, fd00:2::/64 between 2001:db8::1 and ::2) at once; with and
# without extended sequence numbers; ravelind with one worker and with two. Ping from both
# hosts and numbered UDP both ways: none missing; the public segment carries protocol 50 alone.
# Alone: ipsec-secgw polls a whole processor.
. "$(dirname "$0")/../lib/scenario.sh"
. scripts/lib/secgw.sh
binary=$(scripts/lib/build-secgw) || exit $?
seconds=$((FULL ? 20 : 2))

manual() { # NAME LOCAL REMOTE LOCAL-TS REMOTE-TS SUITE IN-SPI OUT-SPI KEY ESN
  cat <<C
[tunnel.$1]
local = "$2"
remote = "$3"
local-ts = ["$4"]
remote-ts = ["$5"]
[tunnel.$1.manual]
suite = "$6"
inbound-spi = $7
inbound-key = "$9"
outbound-spi = $8
outbound-key = "$9"
extended-sequence-number = ${10}
replay-window = 1024
C
}
configure() { # WORKERS ESN
  cat > "$WORK/b.toml" <<C
interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24", "2001:db8::2/64"] }
interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24", "fd00:2::1/64"] }
[workers]
count = $1
cores = [$(seq -s, 0 $(($1 - 1)))]
$(manual four 192.0.2.2 192.0.2.1 10.2.0.0/24 10.1.0.0/24 aes128gcm16 2005 1005 $SECGW_KEY4 "$2")
$(manual six 2001:db8::2 2001:db8::1 fd00:2::/64 fd00:1::/64 aes256gcm16 2006 1006 $SECGW_KEY6 "$2")
C
}
nothing_missing() { # RESULT
  say "    numbered UDP: $1"
  jq -e '.lost == 0 and .duplicates == 0' <<< "$1" > /dev/null
}
run() { # WORKERS true|false
  local esn=$2 udp
  say "ipsec-secgw, $1 worker(s), extended sequence numbers: $esn"
  configure "$1" "$esn"
  configure_secgw
  start_ravelind "$GWB" b
  if [[ $esn == true ]]; then start_secgw "$binary" -e; else start_secgw "$binary"; fi
  soon 20 "IPv4: host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  soon 10 "IPv6: host A reaches host B" in_ns "$HA" ping -c 1 -W 1 fd00:2::2
  capture_start "$WORK/public.pcap"
  hold "IPv4: host B pings host A" pings "$HB" 10.1.0.2 -s 1200
  hold "IPv6: host B pings host A" pings "$HB" fd00:1::2 -s 1200
  udp=$(numbered_udp 2000 "$seconds")
  hold "IPv4: numbered UDP, none missing" nothing_missing "$udp"
  udp=$(numbered_udp 2000 "$seconds" fd00:1::2 fd00:2::2)
  hold "IPv6: numbered UDP, none missing" nothing_missing "$udp"
  capture_stop "$WORK/public.pcap"; ((CAPTURE_LOST == 0)) || die "the capture lost packets"
  hold "no packet in clear" test "$(count_packets "$WORK/public.pcap" "$CLEAR_FILTER")" -eq 0
  hold "raw ESP, not UDP" test "$(count_packets "$WORK/public.pcap" 'ip proto 50 or ip6 proto 50')" -gt 8000
  stop b
  kill "$PID_secgw"; ended "$PID_secgw"
}

net_up
gateway_a_addresses
silence "$GWA"
for workers in 1 2; do for esn in false true; do run $workers $esn; done; done
