#!/usr/bin/env bash
# Which certificate is shown to whom: a profile of three entries under three authorities, and strongSwan that believes
# one of them at a time, both roles.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# What each side says: strongSwan by the payloads it parsed and generated, ravelind by which entry it showed and why. Who
# asks for CA-2 gets cert-2, CA-1 and CA-2, in three CERT payloads. Then the four flows of a certificate from the root
# and one from the authority below it, on either side. Who asks for nobody we have is shown the first entry, and refuses.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

# ours ENTRY...: the profile of ravelind, in this order.
ours() {
  local entry
  sed -i '/^\[\[cert-profile/,$d; /^\[cert-profile/,$d' "$WORK/b.toml"
  for entry; do
    echo '[[cert-profile.own.entry]]'
    case $entry in
      three) echo $'certificate = "pki/b3.pem"\nkey = "pki/b3.key"' ;;
      two) echo $'certificate = "pki/b2.pem"\nkey = "pki/b2.key"\nsend-chain = ["ca-1", "ca-2"]' ;;
      below) echo $'certificate = "pki/b.pem"\nkey = "pki/b.key"\nchain = ["pki/sub.pem"]' ;;
      root) echo $'certificate = "pki/br.pem"\nkey = "pki/br.key"' ;;
    esac
  done >> "$WORK/b.toml"
  cat >> "$WORK/b.toml" <<C
[ca-profile.ca-1]
certificate = "pki/ca-1.pem"
[ca-profile.ca-2]
certificate = "pki/ca-2.pem"
[ca-profile.ca-3]
certificate = "pki/ca-3.pem"
[trust-anchor-profile.demo]
anchors = ["pki/root.pem"]
C
  rv b config apply > /dev/null
}
# theirs CERTIFICATE AUTHORITY [MORE]: strongSwan shows that one, and believes and asks for that authority.
theirs() {
  rm -f "$WORK"/ss/{x509,x509ca,private}/*
  cp "$WORK/pki/$1.pem" "$WORK/ss/x509/a.pem"
  cp "$WORK/pki/$1.key" "$WORK/ss/private/a.key"
  local authority; for authority in "${@:2}"; do cp "$WORK/pki/$authority.pem" "$WORK/ss/x509ca/"; done
  sed -i "s/cacerts = .*/cacerts = $2.pem/" "$WORK/ss/swanctl.conf"
  swan ss --load-all --clear > "$WORK/ss/load" 2>&1 || die "strongSwan refused its configuration"
}
# payloads parsed|generating: CERT payloads in strongSwan's last IKE_AUTH message of that kind.
payloads() { tail -n "+$SWAN_MARK" "$WORK/ss/log" | grep -E "$1 IKE_AUTH (request|response) 1 \[ ID" | tail -n 1 | tr ' ' '\n' | grep -cx CERT; }
shown() { rv b --json explain net | jq -r '.rungs[] | select(.question == "our certificate") | .seen'; }
is_shown() { [[ $(shown) == "own, entry $1: "* ]]; }
peers_shown() { [[ $(rv b --json show certificates | jq "[.certificates[] | select(.entry == $1)][0].tunnels") == 1 ]]; }

# both_roles ENTRY OURS THEIRS: that entry is shown, in so many CERT payloads, and strongSwan's comes in so many.
both_roles() {
  local role
  for role in ravelin peer; do
    swan_mark
    initiate_from "$role" strongswan
    soon 15 "the tunnel is up, called by $role" tunnel_up b net
    hold "ravelind showed entry $1: $(shown)" is_shown "$1"
    hold "and counts it" peers_shown "$1"
    hold "strongSwan got $2 CERT payloads" test "$(payloads parsed)" == "$2"
    hold "and sent $3" test "$(payloads generating)" == "$3"
    rv b terminate net > /dev/null
    soon 10 "strongSwan has nothing left" swan_empty
    soon 10 "ravelind neither" no_sas b
  done
}

RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 3'
net_up
gateway_a_addresses
pki_begin "$WORK/pki" ec
pki_authority sub root Intermediate ,pathlen:0
pki_root ca-2 CA-2
pki_authority ca-1 ca-2 CA-1
pki_root ca-3 CA-3
pki_root stranger Stranger
pki_leaf a sub DNS:a.example
pki_leaf ar root DNS:a.example
pki_leaf b sub DNS:b.example
pki_leaf br root DNS:b.example
pki_leaf b2 ca-1 DNS:b.example
pki_leaf b3 ca-3 DNS:b.example
configure_ravelin b a ec aes128 1
configure_strongswan ec aes128
start_ravelind "$GWB" b
start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'

say "three authorities, one at a time"
ours three two below
rv b show certificates >&2
theirs ar ca-2; both_roles 2 3 1
theirs ar ca-3; both_roles 1 1 1
theirs ar root; both_roles 3 2 1

say "nobody we have"
theirs ar stranger
swan_mark
hold "strongSwan refuses" not swan_call
hold "it was shown the first entry" swan_said 'received end entity cert .*CN=b3.example'
rv b terminate net > /dev/null
soon 10 "nothing is up" no_sas b

say "the four flows: ours from the root, theirs from the authority below it, and the other way round"
ours three root
theirs a root sub; both_roles 2 1 2
ours three below
theirs ar root; both_roles 2 2 1
