#!/usr/bin/env bash
# A strongSwan that does not know RFC 7427 (signature_authentication = no): certificates for ECDSA prove both sides by
# method 9 (RFC 4754), either end calling; RSA, which is left with SHA-1, is refused by name.
#
#   host A --- strongSwan === public segment === ravelind --- host B
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

logged() { grep -qE "$1" "$WORK/ss/log"; }
told() { rv b --json events | jq -e --arg w "$1" --arg t "$2" '[.events[] | select(.what == $w and (.text | contains($t)))] | length > 0' > /dev/null; }
begin() { # KEYS
  rm -rf "$WORK/pki" "$WORK/ss"
  make_pki "$WORK/pki" "$1"
  configure_ravelin b a "$1" aes128 2
  configure_strongswan "$1" aes128
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'signature_authentication = no'
}
finish() { stop b; kill "$PID_ss"; ended "$PID_ss"; ip -n "$GWA" link del ipsec0 2> /dev/null || :; }

net_up
gateway_a_addresses
for caller in ravelin peer; do
  say "ECDSA, called by $caller"
  begin ec
  initiate_from $caller strongswan
  soon 15 "the tunnel is up" tunnel_up b net
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  hold "strongSwan took our method 9" logged "authentication of 'b.example' with ECDSA-256 signature successful"
  hold "and proved itself by it" logged "authentication of 'a.example' \(myself\) with ECDSA-256 signature successful"
  finish
done

say "RSA, which has no older method but with SHA-1"
begin rsa
initiate_from ravelin strongswan
soon 15 "we do not prove ourselves so" told attempt-failed RV-AUTH-019
swan ss --initiate --child net > "$WORK/ss/initiate" 2>&1 && die "strongSwan came up"
hold "nor is its proof taken" told attempt-failed RV-AUTH-006
finish
