#!/usr/bin/env bash
# Rekeys between two ravelinds lose nothing.
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# Numbered UDP, 10,000 packets a second both ways, while CHILD SAs and IKE SAs are rekeyed:
# first by command from each side in turn, then by lifetimes of a few seconds on both sides at
# once, where rekeys collide. None missing, none twice, none later than 50 ms.
# RAVELIN_FULL=1: 50 CHILD and 20 IKE rekeys from each side, and 60 CHILD rekeys by lifetime.
. "$(dirname "$0")/../lib/scenario.sh"
((FULL)) && { children=50 ikes=20 by_lifetime=60 pace=1; } || { children=10 ikes=4 by_lifetime=8 pace=0.3; }
rate=${RATE:-10000}

count() { tunnel_field "$1" net "$2"; }
reached() { (($(count "$1" "$2") >= $3)); }
# rekeyed NAME FIELD ARGUMENTS...: asks that ravelind and waits until both count one more.
rekeyed() {
  local name=$1 field=$2 a b; shift 2
  a=$(count a "$field") b=$(count b "$field")
  rv "$name" rekey net "$@" > /dev/null || die "$name refused to rekey"
  wait_for 10 reached a "$field" $((a + 1)) && wait_for 10 reached b "$field" $((b + 1)) ||
    { rv "$name" explain net >&2 || :; die "$field did not rise by rekey from $name"; }
  sleep "$pace" # a peer that rekeys faster than its old SAs go is told to wait
}
begin() { # IKE-POLICY-LINES TRANSFORM-LINES
  make_pki "$WORK/pki" ec
  ESN=true
  configure_ravelin a b ec aes128 1 "$1" "$2"
  configure_ravelin b a ec aes128 2 "$1" "$2"
  start_ravelind "$GWA" a
  start_ravelind "$GWB" b
  rv b initiate net > /dev/null
  soon 15 "the tunnel is up on both sides" tunnel_up b net
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
}
judged() {
  say "  CHILD rekeys $(count a child_rekeys)/$(count b child_rekeys), IKE rekeys $(count a ike_rekeys)/$(count b ike_rekeys) (as A and B count)"
  hold "none missing, none twice" nothing_missing "$UDP"
  hold "none later than 50 ms" nothing_late "$UDP"
  hold "the tunnel never went down" test "$(count a ups)$(count b ups)" = 11
}

net_up
say "rekeys by command"
begin "" ""
traffic_start "$rate" 900
for ((n = 0; n < children; n++)); do
  rekeyed a child_rekeys
  rekeyed b child_rekeys
  ((n < ikes)) || continue
  rekeyed a ike_rekeys --ike
  rekeyed b ike_rekeys --ike
done
traffic_stop
judged
soon 60 "A's old SAs are gone" only_two_sas a
soon 60 "B's old SAs are gone" only_two_sas b
stop a; stop b

say "rekeys by lifetime"
begin "lifetime = 14" "lifetime = 6" # rekeyed when half of it is over
traffic_start "$rate" 900
wait_for $((by_lifetime * 4 + 20)) reached b child_rekeys "$by_lifetime" || die "only $(count b child_rekeys) CHILD rekeys by lifetime"
wait_for 60 reached b ike_rekeys $((by_lifetime / 4)) || die "only $(count b ike_rekeys) IKE rekeys by lifetime"
traffic_stop
judged
stop a; stop b
