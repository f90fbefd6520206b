#!/usr/bin/env bash
# Additional key exchanges between two ravelinds: x25519+mlkem768 and ecp384+mlkem1024 (RFC 9370).
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# The tunnel comes up through IKE_INTERMEDIATE and is rekeyed through IKE_FOLLOWUP_KE from both sides,
# under numbered UDP that loses nothing; no IKE packet is larger than the fragment size. Then B does
# without: a proposal of A's without them is taken, and `explain` says who did without.
. "$(dirname "$0")/../lib/scenario.sh"
((FULL)) && rekeys=20 || rekeys=4

count() { tunnel_field "$1" net "$2"; }
reached() { (($(count "$1" "$2") >= $3)); }
rekeyed() { # NAME FIELD ARGUMENTS...: asks that ravelind and waits until both count one more
  local name=$1 field=$2 a b; shift 2
  a=$(count a "$field") b=$(count b "$field")
  rv "$name" rekey net "$@" > /dev/null || die "$name refused to rekey"
  wait_for 10 reached a "$field" $((a + 1)) && wait_for 10 reached b "$field" $((b + 1)) || die "$field did not rise by rekey from $name"
  sleep 0.3 # between rekeys packets are to pass; nothing is waited for
}
begin() { # EXCHANGE-OF-A EXCHANGE-OF-B
  EXCHANGE=$1 configure_ravelin a b psk aes128 1
  EXCHANGE=$2 configure_ravelin b a psk aes128 2
  start_ravelind "$GWA" a
  start_ravelind "$GWB" b
  rv b initiate net > /dev/null
  soon 15 "the tunnel is up on both sides" tunnel_up b net
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
}
suite_is() { [[ $(tunnel_field "$1" net ike_suite) == "$2" ]]; }
seen() { (($(count_packets "$WORK/ike.pcap" "udp port 500 and udp[26] = $1") >= $2)); }
none_larger() { [[ $(count_packets "$WORK/ike.pcap" "udp port 500 and greater 1295") == 0 ]]; } # 1280 and Ethernet's header
explains() { rv "$1" --json explain net | jq -e --arg s "$2" '.rungs[] | select(.question == "additional key exchanges") | .seen == $s' > /dev/null; }

net_up
ESN=true
for exchange in x25519+mlkem768 ecp384+mlkem1024; do
  say "$exchange"
  capture_start "$WORK/ike.pcap"
  begin "$exchange" "$exchange"
  for name in a b; do hold "$name shows it" suite_is "$name" "aes128gcm16-prfsha256-$exchange"; done
  traffic_start 5000 600
  for ((n = 0; n < rekeys; n++)); do
    rekeyed a child_rekeys
    rekeyed b child_rekeys
    rekeyed a ike_rekeys --ike
    rekeyed b ike_rekeys --ike
  done
  traffic_stop
  hold "none missing, none twice" nothing_missing "$UDP"
  hold "the tunnel never went down" test "$(count a ups)$(count b ups)" = 11
  capture_stop "$WORK/ike.pcap"
  hold "IKE_INTERMEDIATE was seen" seen 43 2
  hold "IKE_FOLLOWUP_KE was seen" seen 44 $((rekeys * 8))
  hold "no IKE packet is larger than 1280 octets" none_larger
  hold "a says that one followed" explains a "1 followed the first"
  stop a; stop b
done

say "B does without"
begin x25519+mlkem768 x25519
hold "the second proposal is taken" suite_is a aes256-sha256-ecp256
hold "A, who was called, says why" explains a "none: the peer offers none of ours, or after one without them"
stop a; stop b
