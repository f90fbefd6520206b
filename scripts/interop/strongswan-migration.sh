#!/usr/bin/env bash
# From pre-shared keys to certificates, with strongSwan as the branch that moves (TG-27).
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# ravelind takes either proof (accept-psk); strongSwan comes up by its key. The key is taken away at ravelind: what is up stays
# up, with the SAs that it has, and hosts ping. After a clear the key opens nothing any more, and is refused by name. Then
# strongSwan has its certificate, and comes up by that; ravelind has counted one proof of each kind.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

spis() { rv b --json show sa | jq -c '[.sas[].spi] | sort'; }
proven() { [[ $(rv b --json explain net | jq -c '.proofs | [.psk, .certificate]') == "$1" ]]; }
refused() { rv b --json events | jq -e --arg c "$1" '[.events[] | select(.what == "attempt-failed" and (.text | startswith($c)))] | length > 0' > /dev/null; }
up() {
  soon 15 "ravelind says the tunnel is up" tunnel_up b net
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  hold "host B pings host A" pings "$HB" 10.1.0.2
}
same() { [[ $(spis) == "$before" ]]; }

net_up
gateway_a_addresses
make_pki "$WORK/pki" ec
configure_ravelin b a ec aes128 1
cp "$WORK/b.toml" "$WORK/without.toml"
sed -i "/^\[tunnel.net\]/a psk = \"$PSK\"\naccept-psk = true" "$WORK/b.toml"
configure_strongswan psk aes128
start_ravelind "$GWB" b
start_strongswan "$GWA" ss

say "strongSwan comes by its key"
hold "strongSwan calls" swan_call
up
hold "it has proven itself by key, once" proven '[1,0]'

say "the key is taken away while the tunnel is up"
before=$(spis)
cp "$WORK/without.toml" "$WORK/b.toml"
rv b config apply
hold "host A pings host B" pings "$HA" 10.2.0.2
hold "its SAs are as they were" same

say "the tunnel is cleared"
rv b terminate net > /dev/null
soon 10 "strongSwan has nothing left" swan_empty
! swan_call || die "strongSwan came up by a key that is no more"
hold "strongSwan was told AUTHENTICATION_FAILED" grep -q AUTHENTICATION_FAILED "$WORK/ss/initiate"
hold "ravelind says that it is another way to prove oneself" refused RV-AUTH-006
hold "ravelind has no SA" no_sas b

say "strongSwan has its certificate"
configure_strongswan ec aes128
swan ss --load-all > "$WORK/ss/load" 2>&1 || die "strongSwan refused its configuration: $(cat "$WORK/ss/load")"
hold "strongSwan calls" swan_call
up
hold "it has proven itself by certificate, once" proven '[1,1]'
finish
