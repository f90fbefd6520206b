#!/usr/bin/env bash
# Rekeys that collide, with strongSwan: both sides begin at the same instant and nothing is lost.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# Both are asked to rekey while no CREATE_CHILD_SA passes the public segment, so that each begins unaware of the other;
# then requests pass and answers do not, so that each has the other's request before an answer to its own, which ravelind
# gets first: both of the CHILD SA (RFC 7296 §2.8.1), both of the IKE SA (§2.8.2), one of each. Once more where answers
# pass too, so that one side is done before it hears that there was a collision. Then both have equal short lifetimes and
# no jitter. Numbered UDP goes both ways all the time: none missing, none twice. Each round ends with one IKE SA and one
# CHILD SA, by what both sides list, and both say that there were collisions.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan
((FULL)) && { rate=2000 rounds=20 by_lifetime=20; } || { rate=500 rounds=1 by_lifetime=2; }

count() { tunnel_field b net "$1"; }
reached() { (($(count "$1") >= $2)); }
collisions() { counter b ike-collisions; }
# one_of_each: strongSwan lists one IKE SA with one CHILD SA and has nothing left to do, and ravelind has the two SAs.
# Where strongSwan's Delete of the old IKE SA comes before its answer to our request, that request ends with the old IKE
# SA (RFC 7296 §2.25.2), and strongSwan keeps what it made for it as REKEYED for 30 s, with nothing in it.
one_of_each() { swan_lists 1 && [[ $(grep -c 'ESTABLISHED, IKEv2' "$WORK/ss/sas") == 1 ]] && ! grep -qE '^ +(active|queued):' "$WORK/ss/sas" && only_two_sas b; }
# collide seen|unseen WHAT FIELD OURS... -- THEIRS...: both are asked while no IKE passes, and answers pass when both have
# the other's request, or at once.
collide() {
  local kind=$1 what=$2 field=$3 before ours=() theirs; shift 3
  while [[ $1 != -- ]]; do ours+=("$1"); shift; done
  shift; theirs=("$@")
  before=$(count "$field")
  rekeys_held requests drop
  rv b rekey net "${ours[@]}" > /dev/null
  swan ss --rekey "${theirs[@]}" > /dev/null
  soon 3 "both ask" rekeys_held_from ab
  if [[ $kind == seen ]]; then
    rekeys_held answers drop
    soon 5 "both have answered" rekeys_held_from ab
    rekeys_held answers accept
    soon 5 "ravelind has its answer" rekeys_held_from a
  fi
  ike_joined
  soon 20 "$what" reached "$field" $((before + 1))
  soon 20 "one of each is left" one_of_each
}
begin() { # IKE-POLICY-LINES TRANSFORM-LINES CONNECTION-LINES CHILD-LINES
  RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 8'
  configure_ravelin b a psk aes128 2 "$1" "$2"
  configure_strongswan psk aes128 "$3" "$4"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'retransmit_tries = 8' 'retransmit_timeout = 0.4' 'retransmit_base = 1.2' 'delete_rekeyed_delay = 1'
  initiate_from "$5" strongswan
  soon 15 "the tunnel is up" tunnel_up b net
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
}
judged() {
  say "  $(count child_rekeys) CHILD rekeys, $(count ike_rekeys) IKE rekeys, $(collisions) collisions"
  hold "none missing, none twice" nothing_missing "$UDP"
  hold "the tunnel never went down" test "$(count ups)" = 1
}

net_up
gateway_a_addresses
say "both are asked at the same instant"
begin "" "" "" "" ravelin
traffic_start "$rate" 600
for ((n = 0; n < rounds; n++)); do
  collide seen "the CHILD SA is rekeyed" child_rekeys -- --child net
  collide seen "the IKE SA is rekeyed" ike_rekeys --ike -- --ike net
  collide seen "the CHILD SA is, while we wanted the IKE SA" child_rekeys --ike -- --child net
  collide unseen "the CHILD SA is rekeyed, and one side hears of it late" child_rekeys -- --child net
  collide unseen "the IKE SA is rekeyed, and one side hears of it late" ike_rekeys --ike -- --ike net
done
traffic_stop
judged
hold "they did collide" test "$(collisions)" -ge $((2 * rounds))
hold "strongSwan says so, of CHILD SAs" test "$(grep -c 'CHILD_REKEY collision with CHILD_REKEY' "$WORK/ss/log")" -ge "$rounds"
hold "and of IKE SAs" test "$(grep -c 'IKE_REKEY collision with IKE_REKEY' "$WORK/ss/log")" -ge "$rounds"
finish

say "equal short lifetimes"
begin $'lifetime = 16\nsoft-lifetime-percent = 50\njitter-percent = 0' $'lifetime = 8\nsoft-lifetime-percent = 50\njitter-percent = 0' \
  $'rekey_time = 8s\n  rand_time = 0s\n  over_time = 8s' $'rekey_time = 4s\n    rand_time = 0s\n    life_time = 8s' peer
traffic_start "$rate" 600
wait_for $((by_lifetime * 10 + 10)) reached child_rekeys "$((2 * by_lifetime))" || die "only $(count child_rekeys) CHILD rekeys"
wait_for $((by_lifetime * 10 + 10)) reached ike_rekeys "$((by_lifetime - 1))" || die "only $(count ike_rekeys) IKE rekeys"
traffic_stop
judged
soon 20 "strongSwan lists one IKE SA" swan_has 'net: #[0-9]+, ESTABLISHED'
finish
