#!/usr/bin/env bash
# A wire that is cut, with strongSwan: each side notices by itself, and calls again when the wire is whole.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# The link of gateway A to the public segment goes down under traffic. By dead peer detection (RFC 7296 §2.4) ravelind
# drops the tunnel and says why, and so does strongSwan; nothing passes in clear. When the link is back the side whose
# task it is calls without being asked: first ravelind, which establishes on its own, then strongSwan, which restarts.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

wire() { ip -n "$PUB" link set to-a "$1"; }
sees() { rv b --json show tunnels | jq -e --arg c "$1" '.tunnels[0].reason_code == $c' > /dev/null; }
no_child() { swan ss --list-sas > "$WORK/ss/sas" 2>&1 && ! grep -q INSTALLED "$WORK/ss/sas"; }
carries() { soon "$1" "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2; hold "host B pings host A" pings "$HB" 10.1.0.2; }
# calls: the role of ravelind in each IKE SA so far.
calls() { rv b --json events | jq -r '[.events[] | select(.what == "ike-up") | .text | capture("as (?<role>Initiator|Responder)").role] | join(" ")'; }
begin() { # ON-DEMAND-LINE CONNECTION-LINES CHILD-LINES
  RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 3'
  configure_ravelin b a psk aes128 2 $'dpd-interval = 1\ndpd-retries = 2'
  sed -i "s/^on-demand = .*/$1/" "$WORK/b.toml"
  configure_strongswan psk aes128 "dpd_delay = 1s
  $2" "$3"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5' 'retransmit_base = 1.2'
}
# cut_and_noticed: while hosts keep talking.
cut_and_noticed() {
  ip netns exec "$HB" ping -q -i 0.1 10.1.0.2 > /dev/null 2>&1 &
  PIDS+=($!)
  capture_start "$WORK/public.pcap"
  wire down
  soon 15 "ravelind notices" not tunnel_up b net
  hold "and says why: $(tunnel_field b net reason)" sees "$1"
  hold "and keeps no SA" no_sas b
  soon 15 "strongSwan notices" no_child
  hold "and says why" swan_said 'giving up after 2 retransmits'
  capture_stop "$WORK/public.pcap"
  hold "nothing went in clear" test "$(count_packets "$WORK/public.pcap" "$CLEAR_FILTER")" = 0
  wire up
}

net_up
gateway_a_addresses
say "ravelind calls again"
begin 'on-demand = false\nauto-establish = true' "" "dpd_action = clear"
soon 15 "the tunnel is up, unasked" tunnel_up b net
carries 5
cut_and_noticed RV-NET-003
soon 30 "ravelind has called" tunnel_up b net
hold "it did, not strongSwan" test "$(calls)" = "Initiator Initiator"
carries 5
hold "strongSwan has one tunnel" swan_lists 1
finish

say "strongSwan calls again"
begin 'on-demand = false' 'keyingtries = 0' $'dpd_action = restart\n    close_action = start'
initiate_from peer strongswan
carries 5
cut_and_noticed RV-NET-003
soon 30 "strongSwan has called" tunnel_up b net
hold "it did, not ravelind" test "$(calls)" = "Responder Responder"
carries 5
hold "strongSwan has one tunnel" swan_lists 1
finish
