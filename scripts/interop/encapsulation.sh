#!/usr/bin/env bash
# Every outside and inside: IPv4 and IPv6, raw ESP and ESP in UDP, extended sequence numbers.
#
#   host A --- ravelind === public segment === ravelind --- host B      and strongSwan as A
#
# Between two ravelinds, with extended sequence numbers: IPv4 and IPv6 outside, raw, with UDP encapsulation forced, and
# raw where one end forces it and the other has none, IPv4 and IPv6 inside at once. With strongSwan: IPv6 outside. Pings
# of both families, numbered UDP none missing, TCP in full segments, and the public segment carries what was asked
# for: protocol 50, or UDP 4500, and nothing in clear.
. "$(dirname "$0")/../lib/scenario.sh"
seconds=$((FULL ? 20 : 2))
INNER="4 6"

# carried raw|udp: what the capture must hold.
carried() {
  local raw udp
  raw=$(count_packets "$WORK/public.pcap" 'ip proto 50 or ip6 proto 50')
  udp=$(count_packets "$WORK/public.pcap" 'udp port 4500')
  say "    on the public segment: $raw raw ESP, $udp in UDP 4500"
  case $1 in
    raw) ((raw > 1000 && udp < 20)) ;;
    udp) ((udp > 1000 && raw == 0)) ;;
  esac
}
drive() { # raw|udp FAMILY RATE
  local udp
  soon 15 "the tunnel is up" tunnel_up b net
  soon 5 "host A reaches host B, IPv4" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  soon 5 "host A reaches host B, IPv6" in_ns "$HA" ping -c 1 -W 1 fd00:2::2
  capture_start "$WORK/public.pcap"
  hold "host B pings host A, IPv4" pings "$HB" 10.1.0.2 -s 1000
  hold "host B pings host A, IPv6" pings "$HB" fd00:1::2 -s 1000
  udp=$(numbered_udp "$3" "$seconds"); say "    IPv4: $udp"
  hold "numbered UDP over IPv4, none missing" nothing_missing "$udp"
  udp=$(numbered_udp "$3" "$seconds" fd00:1::2 fd00:2::2); say "    IPv6: $udp"
  hold "numbered UDP over IPv6, none missing" nothing_missing "$udp"
  hold "3 MB over TCP arrive whole" whole
  capture_stop "$WORK/public.pcap"; ((CAPTURE_LOST == 0)) || die "the capture lost packets"
  hold "the public segment carries $1 ESP" carried "$1"
  hold "over IPv$2" test "$(count_packets "$WORK/public.pcap" "$([[ $2 == 4 ]] && echo ip || echo ip6) and (proto 50 or udp port 4500)")" -gt 1000
  hold "nothing in clear" test "$(count_packets "$WORK/public.pcap" "$CLEAR_FILTER")" -eq 0
}
# whole: a file over TCP, whose full-sized segments may not be cut, arrives.
whole() {
  rm -f "$WORK/received.bin"
  head -c 3M /dev/urandom > "$WORK/sent.bin"
  transfer "$WORK/sent.bin" "$WORK/received.bin"
  cmp "$WORK/sent.bin" "$WORK/received.bin"
}
shown() { rv b --json show sa | jq -e --arg e "$1" '[.sas[] | select(.encapsulation != $e or .extended_sequence_number != '"$ESN"')] == [] and .sas != []' > /dev/null; }

net_up
make_pki "$WORK/pki" ec
ESN=true
for OUTER in 4 6; do
  for way in auto force never; do
    case $way in
      auto) force=raw policy_a= policy_b= ;;
      force) force=udp policy_a='udp-encapsulation = "force"' policy_b=$policy_a ;;
      never) force=raw policy_a='udp-encapsulation = "force"' policy_b='udp-encapsulation = "never"' ;;
    esac
    say "two ravelinds: IPv$OUTER outside, $force, extended sequence numbers"
    configure_ravelin a b ec aes256 1 "$policy_a"
    configure_ravelin b a ec aes256 2 "$policy_b"
    start_ravelind "$GWA" a
    start_ravelind "$GWB" b
    rv b initiate net > /dev/null
    drive $force $OUTER 4000
    hold "show sa says so" shown "$([[ $force == raw ]] && echo esp || echo esp-in-udp)"
    stop a; stop b
  done
done

command -v charon-systemd > /dev/null || { say "skipped: strongSwan is missing"; exit 77; }
ESN=false OUTER=6
say "strongSwan: IPv6 outside"
gateway_a_addresses
configure_ravelin b a ec aes128 2
configure_strongswan ec aes128
start_ravelind "$GWB" b
start_strongswan "$GWA" ss
initiate_from ravelin strongswan
drive udp 6 2000
hold "show sa says so" shown esp-in-udp
stop b
