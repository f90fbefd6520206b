#!/usr/bin/env bash
# Algorithms with strongSwan, one proposal after another, both roles: each end offers that one alone, so what it says came
# of it is what was asked for.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# Judged by the suites in `swanctl --list-sas` and `ravelin show sa`; hosts ping each other with small packets, with packets
# of every remainder of a block, and with packets that are cut; the child is rekeyed by the peer and they ping again. At
# last a suite outside ravelind's profile is refused by name. Not at full size it is one of each kind of cipher.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

SWAN_PLUGINS=" ccm cmac"
swan_has() { swan ss --list-sas > "$WORK/ss/sas" 2>&1 && grep -qE "$1" "$WORK/ss/sas"; }
swan_empty() { swan ss --list-sas > "$WORK/ss/sas" 2>&1 && ! grep -q . "$WORK/ss/sas"; }
all_sas_are() { [[ $(rv b --json show sa | jq -r '[.sas[].suite] | unique | join(" ")') == "$1" ]]; }

# propose IKE ESP [PROFILE]: both ends have these and no others.
propose() {
  rm -rf "$WORK/ss"
  configure_ravelin b a psk aes128 2 "profile = \"${3:-legacy}\""
  sed -i -e '/^\[ike-policy/,/^$/ s/^proposals = .*/proposals = ["'"$1"'"]/' \
    -e '/^\[ipsec-transform/,/^$/ s/^proposals = .*/proposals = ["'"${4:-$2}"'"]/' "$WORK/b.toml"
  configure_strongswan psk aes128
  sed -i -e "s/^  proposals = .*/  proposals = $1/" -e "s/esp_proposals = [^ }]*/esp_proposals = $2/" "$WORK/ss/swanctl.conf"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss
}
finish() { stop b; kill "$PID_ss"; ended "$PID_ss"; }

# every_remainder: packets of all lengths a block leaves over, and one that is cut, both ways.
every_remainder() {
  local octets
  for octets in $(seq 100 116) 1300 1472; do
    in_ns "$HA" ping -q -c 1 -W 2 -M dont -s "$octets" 10.2.0.2 > /dev/null || { say "not $octets from A"; return 1; }
    in_ns "$HB" ping -q -c 1 -W 2 -M dont -s "$octets" 10.1.0.2 > /dev/null || { say "not $octets from B"; return 1; }
  done
}
# up ESP PEER'S-IKE PEER'S-ESP
up() {
  soon 15 "ravelind says the tunnel is up" tunnel_up b net
  hold "strongSwan says IKE is by $2" swan_has "^  $2\$"
  hold "strongSwan says the child is by $3" swan_has "net: #[0-9]+, reqid [0-9]+, INSTALLED, TUNNEL.*ESP:$3\$"
  hold "ravelind says the child is by $1" all_sas_are "$1"
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  hold "host A pings host B" pings "$HA" 10.2.0.2
  hold "host B pings host A" pings "$HB" 10.1.0.2
  hold "strongSwan counted them" swan_has " in .* [1-9][0-9]* packets"
}
down() {
  soon 10 "strongSwan has nothing left" swan_empty
  soon 10 "ravelind has no SA left" no_sas b
}
nothing_refused() { ! rv b --json show counters | jq -e '.counters[] | select(.name | test("bad-icv|bad-padding|esp-length|malformed-inner")) | select(.value > 0)' > /dev/null; }

net_up
gateway_a_addresses
while read -r size ike esp peer_ike peer_esp; do
  ((FULL)) || [[ $size == small ]] || continue
  say "strongSwan: IKE $ike, ESP $esp"
  propose "$ike" "$esp"
  initiate_from ravelin strongswan
  up "$esp" "$peer_ike" "$peer_esp"
  hold "packets of every remainder of a block arrive, and packets that are cut" every_remainder
  hold "strongSwan rekeys the child" swan ss --rekey --child net
  soon 10 "the former SAs are gone" only_two_sas b
  hold "the new ones are by $esp too" all_sas_are "$esp"
  hold "host A pings host B" pings "$HA" 10.2.0.2
  hold "host B pings host A" pings "$HB" 10.1.0.2
  rv b terminate net > /dev/null
  down
  initiate_from peer strongswan
  up "$esp" "$peer_ike" "$peer_esp"
  hold "nothing was refused" nothing_refused
  swan ss --terminate --ike net > /dev/null
  down
  finish
done <<'P'
small aes128-sha256-modp2048 aes128-sha256 AES_CBC-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048 AES_CBC-128/HMAC_SHA2_256_128
full aes192-sha384-ecp384 aes192-sha384 AES_CBC-192/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/ECP_384 AES_CBC-192/HMAC_SHA2_384_192
small aes256-sha512-ecp521 aes256-sha512 AES_CBC-256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/ECP_521 AES_CBC-256/HMAC_SHA2_512_256
full aes192-sha256-modp3072 aes192-sha256 AES_CBC-192/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_3072 AES_CBC-192/HMAC_SHA2_256_128
full aes256-sha256-modp4096 aes256-sha256 AES_CBC-256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_4096 AES_CBC-256/HMAC_SHA2_256_128
full aes128-sha1-modp2048 aes128-sha1 AES_CBC-128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_2048 AES_CBC-128/HMAC_SHA1_96
small chacha20poly1305-prfsha256-x25519 chacha20poly1305 CHACHA20_POLY1305/PRF_HMAC_SHA2_256/CURVE_25519 CHACHA20_POLY1305
small aes128gcm16-prfsha1-ecp256 null-sha256 AES_GCM_16-128/PRF_HMAC_SHA1/ECP_256 NULL/HMAC_SHA2_256_128
small aes256ccm16-prfaescmac-modp6144 aes128ccm16 AES_CCM_16-256/PRF_AES128_CMAC/MODP_6144 AES_CCM_16-128
full aes128ccm16-prfsha256-modp8192 aes256ccm16 AES_CCM_16-128/PRF_HMAC_SHA2_256/MODP_8192 AES_CCM_16-256
full aes192ccm16-prfsha384-ecp384 aes192ccm16 AES_CCM_16-192/PRF_HMAC_SHA2_384/ECP_384 AES_CCM_16-192
small aes128-aescmac-x25519 aes256-aescmac AES_CBC-128/AES_CMAC_96/PRF_AES128_CMAC/CURVE_25519 AES_CBC-256/AES_CMAC_96
full aes256gcm16-prfsha512-x25519 aes192gcm16 AES_GCM_16-256/PRF_HMAC_SHA2_512/CURVE_25519 AES_GCM_16-192
P

say "strongSwan: what is not configured"
propose aes256gcm16-prfsha384-ecp384 aes128-sha256 rfc8247 aes128-sha512
swan ss --initiate --child net > "$WORK/ss/initiate" 2>&1 || :
hold "strongSwan was told that no proposal was chosen" grep -q NO_PROPOSAL_CHOSEN "$WORK/ss/initiate"
hold "and ravelind has no SA" no_sas b
finish
