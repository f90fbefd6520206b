#!/usr/bin/env bash
# New proofs of identity with strongSwan, either end calling, lose nothing (RFC 7296 2.8.3, RFC 4478).
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# Numbered UDP both ways while IKE SAs with their children take the place of others: by command, by our own
# authentication-lifetime, and, with strongSwan calling (make_before_break), by
# its reauth_time and because we say so. Each time both sides end with one IKE SA. A strongSwan that does not repeat its
# proof is deleted. Of a gateway its peer goes on with its tunnel.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan
((FULL)) && { rounds=8 rate=2000; } || { rounds=1 rate=500; }
SWAN_ESP_LOG=2

repeated() { (($(tunnel_field b "$name" reauthentications) >= $1)); }
one_ike() { swan ss --list-sas > "$WORK/sas" 2>&1 && [[ $(grep -c '^net: .*ESTABLISHED' "$WORK/sas") == 1 ]]; }
one_pair() { [[ $(rv b --json show sa | jq '[.sas[] | select(.state == "active")] | length') == 2 ]]; }
told() { rv b --json events | jq -e --arg w "$1" --arg t "$2" '[.events[] | select(.what == $w and (.text | contains($t)))] | length > 0' > /dev/null; }

# begin CALLER IKE-POLICY-LINES CONNECTION-LINES
begin() {
  name=net
  rm -rf "$WORK/ss"
  configure_ravelin b a ec aes128 2 "$2"
  configure_strongswan ec aes128 "$3"
  [[ -z ${GATEWAY:-} ]] || as_gateway
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'make_before_break = yes'
  initiate_from "$1" strongswan
  soon 15 "the tunnel is up" tunnel_up b "$name"
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  traffic_start "$rate" 300
}
# The same tunnel, of whoever proves to be a.example.
as_gateway() {
  name=branches/a.example
  sed -i '/^\[tunnel.net\]/,/^remote-ts/d' "$WORK/b.toml"
  sed -i 's/^certificate = "own"$/[gateway.branches]\nlocal = "192.0.2.2"\nlocal-id = "b.example"\nremote-ids = ["a.example"]\nike-policy = "p"\ntunnel-template = "t"\nts-list = "all"\n&/' "$WORK/b.toml"
  printf '%s\n' '[tunnel-template.t]' 'ipsec-transform = "t"' '[ts-list.all]' 'local = ["10.2.0.0/24"]' 'remote = ["10.1.0.0/16"]' >> "$WORK/b.toml"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
}
# finish ROUNDS: so many new proofs under way, and nothing lost.
finish() {
  soon 60 "$1 new proofs" repeated "$1"
  soon 20 "strongSwan has one IKE SA" one_ike
  traffic_stop
  say "    strongSwan dropped $(grep -c 'ESP packet does not belong' "$WORK/ss/log" || :) packets by SAs that it did not have"
  ${2:-nothing} "$UDP"
  hold "the tunnel never went down" test "$(tunnel_field b "$name" ups)" = 1
  soon 20 "one pair of SAs is in use" one_pair
  stop b; kill "$PID_ss"; ended "$PID_ss"
  ip -n "$GWA" link del ipsec0 2> /dev/null || :
}

# strongSwan calls: we go on sending by the old SA until it sends by the new one.
nothing() { hold "none missing, none twice" nothing_missing "$1"; }
# We call: strongSwan sends by a new SA as soon as it has answered, and what comes before our worker has it is lost. That
# is all that is lost, and it is little.
little() {
  local missed; missed=$(counter b drop-sa-miss || echo 0)
  hold "nothing is missing but $missed that strongSwan sent too soon, none twice" udp_holds ".lost <= $missed and .duplicates == 0" "$1"
  hold "which is what it sends in 50 ms a proof" test "$missed" -le $((rate * rounds / 20))
}

net_up
gateway_a_addresses
make_pki "$WORK/pki" ec

say "we call, by command"
begin ravelin "" ""
for ((n = 1; n <= rounds; n++)); do
  rv b rekey net --reauthenticate > /dev/null
  soon 15 "proof $n" repeated "$n"
  soon 15 "strongSwan has one IKE SA" one_ike
done
finish "$rounds" little

say "we call, by our own lifetime"
begin ravelin "authentication-lifetime = 8" ""
finish "$rounds" little

# It says nothing of AUTH_LIFETIME where it can call itself; that we heed one is in control/ike/tests/reauthentication.rs.
say "we call, and strongSwan calls for the next proofs"
begin ravelin "" 'reauth_time = 8s
  rand_time = 0s
  over_time = 4s'
finish "$rounds" little

say "strongSwan calls, by its own time"
begin peer "" 'reauth_time = 5s
  rand_time = 0s
  over_time = 30s'
finish "$rounds"

say "strongSwan calls, and we say how long a proof counts"
begin peer "authentication-lifetime = 12" 'reauth_time = 1h
  rand_time = 0s
  over_time = 6s'
hold "we said so" grep -q 'parsed IKE_AUTH response.*N(AUTH_LFT)' "$WORK/ss/log"
finish "$rounds"

say "strongSwan calls a gateway"
GATEWAY=1 begin peer "" 'reauth_time = 5s
  rand_time = 0s
  over_time = 30s'
finish "$rounds"

say "a strongSwan that does not repeat its proof"
name=net
rm -rf "$WORK/ss"
configure_ravelin b a ec aes128 2 "authentication-lifetime = 4"
configure_strongswan ec aes128 'reauth_time = 0s'
start_ravelind "$GWB" b
start_strongswan "$GWA" ss
initiate_from peer strongswan
soon 15 "the tunnel is up" tunnel_up b net
ike_cut
soon 20 "its tunnel ends" tunnel_down b net
hold "by name" told ike-down RV-END-011
