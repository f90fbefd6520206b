#!/usr/bin/env bash
# What two sides do not agree on, with strongSwan: what can be settled is, and what cannot is said by name.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# The wrong group first, in IKE_SA_INIT and in a rekey of the CHILD SA, from either side: INVALID_KE_PAYLOAD, and the
# right one. No common algorithms for the IKE SA, and for the CHILD SA: NO_PROPOSAL_CHOSEN, and explain names both sides.
# Selectors of which one has more: narrowed to what both have, whoever asks. None in common: TS_UNACCEPTABLE.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

# begin IKE-HERE IKE-THERE ESP-HERE ESP-THERE NETS-HERE NETS-THERE: networks of A as each side has them.
begin() {
  RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 3'
  rm -rf "$WORK/ss"
  configure_ravelin b a psk aes128 1
  sed -i "/^\[ike-policy/,/^\[ipsec/ s/^proposals = .*/proposals = [$1]/; /^\[ipsec/,/^\[tunnel/ s/^proposals = .*/proposals = [$3]/; s|^remote-ts = .*|remote-ts = [\"$5\"]|" "$WORK/b.toml"
  configure_strongswan psk aes128
  sed -i "s/^  proposals = .*/  proposals = $2/; s/esp_proposals = .*/esp_proposals = $4 } } } }/; s|local_ts = .*|local_ts = $6|" "$WORK/ss/swanctl.conf"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'
}
IKE='"aes128gcm16-prfsha256-x25519"' IKE_SS=aes128gcm16-prfsha256-x25519 ESP='"aes128gcm16-x25519"' ESP_SS=aes128gcm16-x25519 NET=10.1.0.0/24
up() {
  soon 15 "the tunnel is up" tunnel_up b net
  hold "strongSwan says so" swan_lists 1
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
}
carries() { rv b --json show tunnels | jq -r '.tunnels[].children[].carries'; }
hang_up() { rv b terminate net > /dev/null; soon 10 "strongSwan has nothing left" swan_empty; soon 10 "ravelind neither" no_sas b; }
rekeyed() { (($(tunnel_field b net child_rekeys) >= $1)); }
# because CODE: explain has an attempt that ended so, which is in $WORK/why then; differs TEXT: it says that of both sides.
because() { rv b --json explain net > "$WORK/explain" || :; jq -er --arg c "$1" '[.attempts[] | select(.code == $c)][0] | "\(.outcome); \(.misses | join(", "))"' "$WORK/explain" > "$WORK/why"; }
differs() { grep -qF "$1" "$WORK/why"; }
say_why() { say "    $(cat "$WORK/why")"; }

net_up
gateway_a_addresses

say "the wrong group first"
begin '"aes128gcm16-prfsha256-ecp256", "aes128gcm16-prfsha256-x25519"' "$IKE_SS" "$ESP" "$ESP_SS" $NET $NET
initiate_from ravelin strongswan
up
hold "strongSwan asked for another" swan_said 'DH group ECP_256 unacceptable, requesting CURVE_25519'
finish
begin "$IKE" aes128gcm16-prfsha256-ecp256-x25519 "$ESP" "$ESP_SS" $NET $NET
initiate_from peer strongswan
up
hold "ravelind asked for another" swan_said "peer didn't accept DH group ECP_256, it requested CURVE_25519"
finish

say "the wrong group first, in a rekey"
begin "$IKE" "$IKE_SS" '"aes128gcm16-ecp256", "aes128gcm16-x25519"' aes128gcm16-x25519 $NET $NET
initiate_from peer strongswan
up
rv b rekey net > /dev/null
soon 10 "ravelind rekeyed" rekeyed 1
hold "strongSwan asked for another" swan_said 'DH group ECP_256 unacceptable, requesting CURVE_25519'
up
finish
begin "$IKE" "$IKE_SS" "$ESP" aes128gcm16-ecp256-x25519 $NET $NET
initiate_from peer strongswan
up
hold "strongSwan rekeys" swan ss --rekey --child net > /dev/null
soon 10 "ravelind rekeyed" rekeyed 1
hold "ravelind asked for another" swan_said "peer didn't accept DH group ECP_256, it requested CURVE_25519"
up
finish

say "no algorithms in common"
begin "$IKE" aes256-sha256-ecp384 "$ESP" "$ESP_SS" $NET $NET
rv b initiate net > /dev/null
soon 10 "ravelind was refused" because RV-INIT-002
say_why
hold "strongSwan says the same" swan_said 'received proposals unacceptable'
hold "ravelind refuses, too" not swan_call
hold "with NO_PROPOSAL_CHOSEN" grep -q 'NO_PROPOSAL_CHOSEN' "$WORK/ss/initiate"
soon 5 "and says why" because RV-INIT-003
say_why
hold "with both sides" differs AES_CBC_256
finish

say "none for the CHILD SA"
begin "$IKE" "$IKE_SS" "$ESP" aes256gcm16-x25519 $NET $NET
rv b initiate net > /dev/null
soon 10 "ravelind was refused" because RV-CHILD-004
say_why
finish
begin "$IKE" "$IKE_SS" "$ESP" aes256gcm16-x25519 $NET $NET
hold "ravelind refuses, too" not swan_call
hold "with NO_PROPOSAL_CHOSEN" grep -q 'NO_PROPOSAL_CHOSEN' "$WORK/ss/initiate"
soon 5 "and says why" because RV-CHILD-005
say_why
hold "with both sides" differs AES_GCM_16_256
finish

say "selectors of which one side has more"
begin "$IKE" "$IKE_SS" "$ESP" "$ESP_SS" 10.1.0.0/16 $NET
initiate_from ravelin strongswan
up
hold "ravelind has what strongSwan left" test "$(carries)" = "10.2.0.0/24 === 10.1.0.0/24"
hang_up
initiate_from peer strongswan
up
hold "and what it asks for" test "$(carries)" = "10.2.0.0/24 === 10.1.0.0/24"
finish
begin "$IKE" "$IKE_SS" "$ESP" "$ESP_SS" $NET 10.1.0.0/16
initiate_from peer strongswan
up
hold "strongSwan has what ravelind left" swan_has 'local +10.1.0.0/24$'
hang_up
initiate_from ravelin strongswan
up
hold "and what it asks for" swan_has 'local +10.1.0.0/24$'
finish

say "none in common"
begin "$IKE" "$IKE_SS" "$ESP" "$ESP_SS" 10.9.0.0/24 $NET
rv b initiate net > /dev/null
soon 10 "ravelind was refused" because RV-CHILD-002
say_why
rv b terminate net > /dev/null
soon 10 "strongSwan has nothing left" swan_empty
hold "ravelind refuses, too" not swan_call
hold "with TS_UNACCEPTABLE" grep -q TS_UNACCEPTABLE "$WORK/ss/initiate"
soon 5 "and says why" because RV-CHILD-001
say_why
hold "with both sides" differs "offered 10.1.0.0-10.1.0.255; configured 10.9.0.0-10.9.0.255"
finish
