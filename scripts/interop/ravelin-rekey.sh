#!/usr/bin/env bash
# Make before break: rekeys between two ravelinds lose nothing, hold nothing up, and show nothing.
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# Numbered UDP, 10,000 packets a second both ways, while CHILD SAs and IKE SAs are rekeyed: by command from each side in
# turn; by command from both sides at once, where CREATE_CHILD_SA is held up on the way until each has the other's request
# before an answer to its own, so that they collide (RFC 7296 §2.8.1, §2.8.2); then by equal short lifetimes. None missing,
# none twice, none later than 50 ms, and not one packet in clear on the public segment, where all are counted.
# RAVELIN_FULL=1: 1000 rekeys by command, 250 of each kind from each side, 100 collisions, and 60 rekeys by lifetime.
. "$(dirname "$0")/../lib/scenario.sh"
((FULL)) && { turns=250 collisions=50 by_lifetime=60; } || { turns=4 collisions=2 by_lifetime=6; }
rate=${RATE:-10000}

count() { tunnel_field "$1" net "$2"; }
reached() { (($(count "$1" "$2") >= $3)); }
collided() { counter "$1" ike-collisions; }
# rekeyed FIELD COMMAND...: runs it and waits until both ravelinds count one rekey more.
rekeyed() {
  local field=$1 a b; shift
  a=$(count a "$field") b=$(count b "$field")
  "$@" || die "no rekey by: $*"
  wait_for 10 reached a "$field" $((a + 1)) && wait_for 10 reached b "$field" $((b + 1)) ||
    { rv b explain net >&2 || :; die "$field did not rise by: $*"; }
}
# at_once ARGUMENTS...: both sides rekey, each unaware of the other, and B has its answer first.
at_once() {
  rekeys_held requests drop
  rv a rekey net "$@" > /dev/null
  rv b rekey net "$@" > /dev/null
  wait_for 3 rekeys_held_from ab || die "a rekey was not begun"
  rekeys_held answers drop
  wait_for 5 rekeys_held_from ab || die "a rekey was not answered"
  rekeys_held answers accept
  wait_for 8 rekeys_held_from a || die "B had no answer"
  ike_joined
}
begin() { # IKE-POLICY-LINES TRANSFORM-LINES
  make_pki "$WORK/pki" ec
  ESN=true RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 6'
  configure_ravelin a b ec aes128 1 "$1" "$2"
  configure_ravelin b a ec aes128 2 "$1" "$2"
  start_ravelind "$GWA" a
  start_ravelind "$GWB" b
  rv b initiate net > /dev/null
  soon 15 "the tunnel is up on both sides" tunnel_up b net
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
}
judged() {
  say "  CHILD rekeys $(count a child_rekeys)/$(count b child_rekeys), IKE rekeys $(count a ike_rekeys)/$(count b ike_rekeys), collisions $(collided a)/$(collided b) (as A and B count)"
  hold "none missing, none twice" nothing_missing "$UDP"
  hold "none later than 50 ms" nothing_late "$UDP"
  hold "none in clear" nothing_clear
  hold "the tunnel never went down" test "$(count a ups)$(count b ups)" = 11
}

net_up
clear_watched
say "rekeys by command, from each side in turn"
begin "" ""
traffic_start "$rate" 900
for ((n = 0; n < turns; n++)); do
  for side in a b; do
    rekeyed child_rekeys rv $side rekey net > /dev/null
    rekeyed ike_rekeys rv $side rekey net --ike > /dev/null
  done
done
each=$((2 * turns))
for side in a b; do hold "$side counts $each of each kind" test "$(count $side child_rekeys) $(count $side ike_rekeys)" = "$each $each"; done
traffic_stop
judged

say "from both sides at once"
traffic_start "$rate" 900
for ((n = 0; n < collisions; n++)); do
  rekeyed child_rekeys at_once
  rekeyed ike_rekeys at_once --ike
done
traffic_stop
judged
# That requests crossed is certain: each round saw both, and both answers, held up. Not each side decides each of them:
# where the other's Delete of the old SA comes first, what was asked for ends with it.
hold "they did collide" test $(($(collided a) + $(collided b))) -ge $((2 * collisions))
soon 60 "A's old SAs are gone" only_two_sas a
soon 60 "B's old SAs are gone" only_two_sas b
stop a; stop b

say "by lifetime"
begin "lifetime = 14" "lifetime = 6" # rekeyed when half of it is over
traffic_start "$rate" 900
wait_for $((by_lifetime * 4 + 20)) reached b child_rekeys "$by_lifetime" || die "only $(count b child_rekeys) CHILD rekeys by lifetime"
wait_for 60 reached b ike_rekeys $((by_lifetime / 4)) || die "only $(count b ike_rekeys) IKE rekeys by lifetime"
traffic_stop
judged
stop a; stop b
