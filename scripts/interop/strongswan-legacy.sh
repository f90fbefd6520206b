#!/usr/bin/env bash
# A peer that has nothing but Triple-DES, SHA-1 or MD5, and MODP-1024 (DP-10).
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# As it comes, ravelind refuses it: NO_PROPOSAL_CHOSEN, and a configuration that names such an algorithm is refused by that
# name. With allow-legacy, and for MD5 with the profile `legacy` besides, the tunnel comes up, whoever calls; hosts ping each
# other with packets of every remainder of eight, the child and the IKE SA are rekeyed, and they ping again.
. "$(dirname "$0")/../lib/scenario.sh"
command -v charon-systemd > /dev/null || { say "skipped: strongSwan is missing"; exit 77; }

# offered PROPOSAL ESP: what strongSwan has; ours PROPOSAL ESP [LINES ABOVE] [IKE LINE]: what ravelind has.
offered() { sed -i "s/ proposals = .*/ proposals = $1/; s/esp_proposals = .*/esp_proposals = $2 } } } }/" "$WORK/ss/swanctl.conf"; }
ours() {
  sed -i '/^\[ike-policy/,/^$/ s/^proposals = .*/proposals = ["'"$1"'"]/; /^\[ipsec-transform/,/^$/ s/^proposals = .*/proposals = ["'"$2"'"]/' "$WORK/b.toml"
  [[ -z ${4:-} ]] || sed -i "/^\[ike-policy/a $4" "$WORK/b.toml"
  [[ -z ${3:-} ]] || sed -i "1i $3" "$WORK/b.toml"
}
suites_are() { [[ $(rv b --json show sa | jq -r '[.sas[].suite] | unique | join(" ")') == "$1" ]]; }
every_remainder() { local octets; for octets in $(seq 100 108) 1300; do in_ns "$HA" ping -q -c 1 -W 2 -s "$octets" 10.2.0.2 > /dev/null || { say "not $octets"; return 1; }; done; }
is_rekeyed() { [[ $(tunnel_field b net child_rekeys) -gt $1 ]]; }
refused_for() { local said; ! said=$("$TARGET/ravelin" config check "$WORK/b.toml" 2>&1) && grep -q "$1" <<< "$said"; }

net_up
gateway_a_addresses
say "as it comes"
configure_ravelin b a psk aes256 1
configure_strongswan psk aes256
offered 3des-sha1-modp1024 3des-sha1
start_ravelind "$GWB" b
start_strongswan "$GWA" ss
hold "strongSwan cannot call" not swan_call
hold "it is told NO_PROPOSAL_CHOSEN" grep -q NO_PROP "$WORK/ss/initiate"
stop b
ours 3des-sha1-modp1024 3des-sha1
hold "3des is refused by name" refused_for '"3des" SHOULD NOT be used (RFC 8247, RFC 8221).*allow-legacy'
hold "and modp1024" refused_for '"modp1024" SHOULD NOT be used'
while read -r ike esp profile; do
  say "with allow-legacy: $ike, $esp, profile ${profile:-as it comes}"
  configure_ravelin b a psk aes256 1
  ours "$ike" "$esp" 'allow-legacy = true' "${profile:+profile = \"$profile\"}"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "refused"
  offered "$ike" "$esp"
  swan ss --load-all > /dev/null || die "strongSwan refused its configuration"
  start_ravelind "$GWB" b
  for caller in peer ravelin; do
    initiate_from "$caller" strongswan
    soon 15 "the tunnel is up, called by $caller" tunnel_up b net
    hold "its SAs have $esp" suites_are "$esp"
    soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
    hold "packets of every remainder arrive" every_remainder
    rekeys=$(tunnel_field b net child_rekeys)
    rv b rekey net > /dev/null
    soon 10 "the child is rekeyed" is_rekeyed "$rekeys"
    rv b rekey net --ike > /dev/null
    hold "hosts reach each other" pings "$HB" 10.1.0.2
    rv b terminate net > /dev/null
    soon 10 "no SA is left" no_sas b
  done
  stop b
done <<'P'
3des-sha1-modp1024 3des-sha1
3des-md5-modp1024 3des-md5 legacy
P
configure_ravelin b a psk aes256 1
ours 3des-md5-modp1024 3des-md5 'allow-legacy = true'
hold "without it it is refused by name" refused_for '"md5" MUST NOT be used'
