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

# begin RAVELIN PEER LOCAL REMOTE: the lines of our second-auth; strongSwan's key; the lines of its second rounds.
begin() {
  configure_ravelin b a ec aes128 2
  printf '[tunnel.net.second-auth]\npsk = "%s"\n%s\n' "$USER_KEY" "$1" >> "$WORK/b.toml"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
  configure_strongswan ec aes128 "${3:+local-2 { auth = psk
    id = $3 }} ${4:+remote-2 { auth = psk
    id = $4 }}"
  sed -i -e 's/^  local {/  local-1 {/; s/^  remote {/  remote-1 {/' "$WORK/ss/swanctl.conf"
  printf 'secrets { ike-2 { secret = "%s" } }\n' "$2" >> "$WORK/ss/swanctl.conf"
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
$PEERS" "$USER_KEY" user.a.example admin.b.example
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
begin "$PEERS" "$USER_KEY" user.a.example ""
initiate_from peer strongswan
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
finish

# refused CODE WHAT KEY LOCAL: strongSwan calls, and is not let in.
refused() {
  say "$2"
  begin "$PEERS" "$3" "$4" ""
  swan_call && die "strongSwan came up"
  soon 10 "it is named" told "$1"
  hold "nothing is up" swan_empty
  finish
}
refused RV-AUTH-026 "a wrong second key" "another key" user.a.example
refused RV-AUTH-025 "another user" "$USER_KEY" other.a.example
refused RV-AUTH-021 "a strongSwan that stops after its certificate" "$USER_KEY" ""
