#!/usr/bin/env bash
# Whom a gateway believes of those its authority vouches for, with strongSwan as the caller.
#
#   host A --- strongSwan === public segment === ravelind, a gateway --- host B
#
# A common-name-list lets in who has a name of it and nobody else. Then an outage: revocation has to be asked about and
# nobody answers, so that the caller is refused; a certificate-map that means it lets it in, and says so; one that means
# another does not. At last the authority is shut down: what is up stays up, nobody else is let in, and its flags say why.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

# gateway PROFILE-LINES [TABLES]: ravelind believes by these.
gateway() {
  cat > "$WORK/b.toml" <<C
interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24"] }
[gateway.net]
local = "192.0.2.2"
local-id = "b.example"
certificate = "own"
trust = "demo"
common-name-list = "branches"
ike-policy = "p"
tunnel-template = "branch"
ts-list = "branches"
[common-name-list.branches]
names = ["one.example", "198.51.100.0/24"]
[cert-profile.own]
certificate = "pki/b.pem"
key = "pki/b.key"
[trust-anchor-profile.demo]
anchors = ["pki/root.pem"]
$1
[tunnel-template.branch]
ipsec-transform = "t"
[ts-list.branches]
local = ["10.2.0.0/24"]
remote = ["10.1.0.0/16"]
[ike-policy.p]
proposals = ["aes128gcm16-prfsha256-x25519"]
[ipsec-transform.t]
proposals = ["aes128gcm16-x25519"]
extended-sequence-number = false
${2:-}
C
  "$TARGET/ravelin" config check "$WORK/b.toml" > "$WORK/check" 2>&1 || die "configuration refused"
  [[ ! -S $WORK/b.sock ]] || rv b config apply > /dev/null
}
map() { printf '[certificate-map.outage]\nconditions = ["subject-name co %s", "issuer-name co CN=Root"]\nskip-revocation-check = true\n' "$1"; }
# theirs CERTIFICATE: strongSwan shows that one.
theirs() {
  rm -f "$WORK"/ss/{x509,private}/*
  cp "$WORK/pki/$1.pem" "$WORK/ss/x509/a.pem"
  cp "$WORK/pki/$1.key" "$WORK/ss/private/a.key"
  swan ss --load-all --clear > "$WORK/ss/load" 2>&1 || die "strongSwan refused its configuration"
}
let_in() {
  hold "strongSwan is let in" swan_call
  hold "and says that it is up" swan_has "net.*ESTABLISHED"
  soon 5 "ravelind too" tunnel_up b net/a.example
}
says() { [[ $(attempt '"\(.code) \(.outcome)"') == *"$1"* ]]; }
refused() { # CODE
  hold "strongSwan is refused" not swan_call
  hold "with AUTHENTICATION_FAILED" grep -q AUTHENTICATION_FAILED "$WORK/ss/initiate"
  soon 10 "ravelind says $1" says "$1"
  say "    $(attempt .outcome)"
}
down() {
  swan ss --terminate --ike net > /dev/null
  soon 10 "strongSwan has nothing left" swan_empty
  soon 10 "ravelind neither" no_sas b
}
believed() { rv b --json explain net/a.example | jq -r '.rungs[] | select(.question | contains("certificate holds")) | .seen'; }
is_excepted() { [[ $(believed) == *"by certificate-map outage"* ]]; }

net_up
gateway_a_addresses
pki_begin "$WORK/pki" ec
pki_leaf one root DNS:a.example
pki_leaf two root DNS:a.example
pki_leaf b root DNS:b.example
cp "$WORK/pki/root.pem" "$WORK/pki/sub.pem"
cp "$WORK/pki/one.pem" "$WORK/pki/a.pem"; cp "$WORK/pki/one.key" "$WORK/pki/a.key"
configure_strongswan ec aes128
gateway ''
start_ravelind "$GWB" b
start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'

say "names of a list"
theirs one; let_in; down
theirs two; refused RV-PKI-045
hold "and which names it has" says two.example

say "nobody says whether a certificate is revoked"
theirs one
gateway 'revocation = "require"'
refused RV-LOCAL-018
gateway $'revocation = "require"\ncertificate-maps = ["outage"]' "$(map two.example)"
refused RV-LOCAL-018
gateway $'revocation = "require"\ncertificate-maps = ["outage"]' "$(map one.example)"
hold "config check tells of the exception" grep -q 'asks nobody about the revocation' "$WORK/check"
let_in
hold "and the exception is told: $(believed)" is_excepted
down

say "the authority is shut down"
profile() { rv b --json pki list | jq -r '.ca_profiles[] | select(.ca_profile == "root") | "\(.state) \(.flags | join(","))"'; }
authority() { printf '[ca-profile.root]\ncertificate = "pki/root.pem"\nrevocation = "off"\nenabled = %s\n' "$1"; }
theirs one
gateway '' "$(authority true)"
hold "it is up and has no flag" test "$(profile)" = "up "
let_in
gateway '' "$(authority false)"
hold "it is down by our word" test "$(profile)" = "down admin-down"
hold "in words too" grep -q 'admin-down: enabled = false' <(rv b pki show root)
hold "what is up stays up" tunnel_up b net/a.example
hold "and carries" pings "$HA" 10.2.0.2
down
refused RV-PKI-048
gateway '' "$(authority true)"
let_in
