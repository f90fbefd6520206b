#!/usr/bin/env bash
# A second proof (RFC 4739) with strongSwan, either end calling: both sides prove themselves by certificate, and then the
# caller, or both, by a key under another identity. A wrong key, the wrong user and a strongSwan that stops after its
# certificate are refused by name, and bring nothing up.
#
#   host A --- strongSwan === public segment === ravelind --- host B
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

USER_KEY="second horse"
told() { rv b --json events | jq -e --arg t "$1" '[.events[] | select(.what == "attempt-failed" and (.text | contains($t)))] | length > 0' > /dev/null; }
climbed() { rv b --json explain net | jq -e --arg q "$1" --arg s "$2" '[.rungs[] | select(.question == $q and .holds == true and .seen == $s)] | length == 1' > /dev/null; }

# round SIDE IDENTITY: a second one of that side, if it has an identity for it.
round() { [[ -z $2 ]] || printf '%s-2 { round = 2\n    auth = psk\n    id = %s }' "$1" "$2"; }
# peer KEY LOCAL REMOTE: strongSwan's second rounds, and the key of both.
peer() {
  configure_strongswan ec aes128 "$(round local "$2") $(round remote "$3")"
  sed -i -e 's/^  local {/  local-1 { round = 1\n/; s/^  remote {/  remote-1 { round = 1\n/' \
    -e "s/^secrets .*/secrets { ike-1 { secret = \"$1\" } }/" "$WORK/ss/swanctl.conf"
}
# begin SECOND-AUTH LOCAL REMOTE: the lines of ours, and whom strongSwan has second rounds for.
begin() {
  configure_ravelin b a ec aes128 2
  printf '[tunnel.net.second-auth]\npsk = "%s"\n%s\n' "$USER_KEY" "$1" >> "$WORK/b.toml"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
  peer "$USER_KEY" "$2" "$3"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss
}
OURS='local-id = "admin.b.example"' PEERS='remote-id = "user.a.example"'

net_up
gateway_a_addresses
make_pki "$WORK/pki" ec
for caller in ravelin peer; do
  say "both prove themselves twice, called by $caller"
  begin "$OURS
$PEERS" user.a.example admin.b.example
  initiate_from $caller strongswan
  soon 15 "the tunnel is up" tunnel_up b net
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  hold "our first proof was taken" swan_said "authentication of 'b.example' with ECDSA.* successful"
  hold "and our second" swan_said "authentication of 'admin.b.example' with pre-shared key successful"
  hold "its certificate is told of" climbed "the peer's first proof" "a.example, by certificate"
  hold "so is its user" climbed "the peer's second proof" "user.a.example, by the key of second-auth"
  hold "and who we were" climbed "our second proof" "admin.b.example, by the key of second-auth"
  finish
done

say "the peer alone proves itself twice, called by it"
begin "$PEERS" user.a.example ""
initiate_from peer strongswan
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
swan ss --terminate --ike net > "$WORK/ss/terminate" 2>&1 || die "strongSwan could not end it"
soon 10 "and is ended" tunnel_down b net

# refused CODE WHAT KEY LOCAL: strongSwan calls with these, and is not let in.
refused() {
  peer "$3" "$4" ""
  swan ss --load-all > "$WORK/ss/load" 2>&1 || die "strongSwan refused its configuration"
  swan_call && die "$2: strongSwan came up"
  soon 10 "$2 is named" told "$1"
  hold "nothing is up" swan_empty
}
refused RV-AUTH-026 "a wrong second key" "another key" user.a.example
refused RV-AUTH-025 "another user" "$USER_KEY" other.a.example
refused RV-AUTH-021 "a strongSwan that stops after its certificate" "$USER_KEY" ""
finish
