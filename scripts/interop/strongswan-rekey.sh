#!/usr/bin/env bash
# Rekeys with strongSwan lose nothing.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# Numbered UDP, 2000 packets a second both ways (what strongSwan's user-space ESP bears),
# while CHILD SAs and IKE SAs are rekeyed, started from each side in turn: none missing, none
# twice, none later than 50 ms. RAVELIN_FULL=1: 50 CHILD and 20 IKE rekeys from each side.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan
((FULL)) && { children=50 ikes=20 pace=1; } || { children=5 ikes=2 pace=0.3; }

count() { tunnel_field b net "$1"; }
reached() { (($(count "$1") >= $2)); }
# rekeyed FIELD COMMAND...: runs it and waits until ravelind counts one more rekey.
rekeyed() {
  local field=$1 before; shift
  before=$(count "$field")
  "$@" > "$WORK/rekey" 2>&1 || { cat "$WORK/rekey" >&2; die "could not ask for a rekey: $*"; }
  wait_for 10 reached "$field" $((before + 1)) || { rv b explain net >&2 || :; die "$field did not rise after: $*"; }
  sleep "$pace" # a peer that rekeys faster than its old SAs go is told to wait
}

net_up
gateway_a_addresses
make_pki "$WORK/pki" ec
configure_ravelin b a ec aes128 2
configure_strongswan ec aes128
start_ravelind "$GWB" b
start_strongswan "$GWA" ss
initiate_from ravelin strongswan
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2

traffic_start 2000 600
for ((n = 0; n < children; n++)); do
  rekeyed child_rekeys rv b rekey net
  rekeyed child_rekeys swan ss --rekey --child net
done
for ((n = 0; n < ikes; n++)); do
  rekeyed ike_rekeys rv b rekey net --ike
  rekeyed ike_rekeys swan ss --rekey --ike net
done
traffic_stop
say "  $(count child_rekeys) CHILD rekeys, $(count ike_rekeys) IKE rekeys"
hold "none missing, none twice" nothing_missing "$UDP"
hold "none later than 50 ms" nothing_late "$UDP"
hold "the tunnel never went down" test "$(count ups)" = 1
# One in IKE_AUTH, and one after each rekey of the IKE SA.
hold "strongSwan passes over our crash tokens" test "$(grep -c 'parsed.*N(CRASH_DET)' "$WORK/ss/log")" -ge $((1 + ikes))
swan ss --list-sas > "$WORK/sas"
hold "strongSwan says it is established" grep -qE 'net: #[0-9]+, ESTABLISHED' "$WORK/sas"
soon 30 "the old SAs are gone" only_two_sas b
