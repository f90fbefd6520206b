#!/usr/bin/env bash
# Who says he is what: every type of identity with strongSwan, both roles, and proofs that differ by side.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# With a pre-shared key: a domain name, a mail address, a distinguished name, both kinds of address and a key id, each
# asked for by ravelind and by strongSwan, and judged by what each says of the other. With certificates the same, but
# for the key id, which none can prove. Another identity of the same type is refused by name, whoever has it, and so are
# the same octets as another type. Then one side proves itself by certificate and the other by key, both ways round.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

# identities TYPE a|b|x: as ravelind has it, as strongSwan has it; x is neither. One line each.
identities() {
  local number; number=$(case $2 in a) echo 1 ;; b) echo 2 ;; x) echo 3 ;; esac)
  case $1 in
    fqdn) echo "$2.example"; echo "$2.example" ;;
    email) echo "$2@example.org"; echo "$2@example.org" ;;
    name) echo "CN=$2.example,O=Ravelin Demo"; echo "O=Ravelin Demo, CN=$2.example" ;;
    ipv4) echo "192.0.2.$number"; echo "192.0.2.$number" ;;
    ipv6) echo "2001:db8::$number"; echo "2001:db8::$number" ;;
    keyid) echo "keyid:0a0b0$number"; echo "@#0a0b0$number" ;;
  esac
}
ours() { identities "$@" | head -n 1; }
theirs() { identities "$@" | tail -n 1; }

# say_who LOCAL-HERE REMOTE-HERE LOCAL-THERE REMOTE-THERE: what each has from now on.
say_who() {
  sed -i "s/^local-id = .*/local-id = \"$1\"/; s/^remote-id = .*/remote-id = \"$2\"/" "$WORK/b.toml"
  awk -v l="$3" -v r="$4" '/^ *local \{/ { id = l } /^ *remote \{/ { id = r } { sub(/ id = .*/, " id = \"" id "\" }"); print }' "$WORK/ss/swanctl.conf" > "$WORK/swanctl"
  mv "$WORK/swanctl" "$WORK/ss/swanctl.conf"
  rv b config apply > /dev/null
  swan ss --load-all > /dev/null 2>&1
}
down() { soon 10 "strongSwan has nothing left" swan_empty; soon 10 "ravelind neither" no_sas b; }
peer_is() { [[ $(tunnel_field b net peer_identity) == "$1" ]]; }
# up TYPE: both say who the other is, and hosts ping.
up() {
  soon 15 "the tunnel is up" tunnel_up b net
  hold "ravelind knows its peer: $(tunnel_field b net peer_identity)" peer_is "$(ours "$1" a)"
  hold "strongSwan knows ravelind: $(theirs "$1" b)" swan_has "remote '$(sed 's/^@#\(..\)\(..\)/\1:\2:/' <<< "$(theirs "$1" b)")' @ 192.0.2.2"
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
}
# both_roles TYPE
both_roles() {
  initiate_from ravelin strongswan
  up "$1"
  rv b terminate net > /dev/null
  down
  initiate_from peer strongswan
  up "$1"
  swan ss --terminate --ike net > /dev/null
  down
}
# refused_from ravelin|peer CODE: that one calls, nothing comes up, and this is why.
refused_from() {
  case $1 in
    ravelin) rv b initiate net > /dev/null ;;
    peer) hold "strongSwan is refused" not swan_call; hold "with AUTHENTICATION_FAILED" grep -q AUTHENTICATION_FAILED "$WORK/ss/initiate" ;;
  esac
  soon 10 "ravelind says $2" last_code "$2"
  say "    $(attempt .outcome)"
  hold "nothing is up" no_sas b
}
misses() { [[ $(attempt "[.outcome, .offered, .misses] | tostring") == *"$1"* ]]; }
look_at() { [[ $(attempt ".keys | join(\" \")") == *"$1"* ]]; }

# of TYPE: both roles, and what is refused.
of() {
  say "$auth: $1"
  say_who "$(ours "$1" b)" "$(ours "$1" a)" "$(theirs "$1" a)" "$(theirs "$1" b)"
  both_roles "$1"
  say_who "$(ours "$1" b)" "$(ours "$1" a)" "$(theirs "$1" x)" "$(theirs "$1" b)"
  # A distinguished name that a certificate proves is compared by the trust profile.
  refused_from peer "$([[ $auth-$1 == certificates-name ]] && echo RV-AUTH-005 || echo RV-AUTH-004)"
  hold "and who called" misses "$(ours "$1" x)"
  hold "and which key to look at" look_at tunnel.net.remote-id
  say_who "$(ours "$1" x)" "$(ours "$1" a)" "$(theirs "$1" a)" "$(theirs "$1" b)"
  refused_from ravelin RV-AUTH-001
  hold "strongSwan says that it knows nobody of that name" swan_said 'no matching peer config found'
}

RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 3'
net_up
gateway_a_addresses
pki_begin "$WORK/pki" ec
pki_authority sub root Intermediate ,pathlen:0
pki_leaf a sub DNS:a.example,email:a@example.org,IP:192.0.2.1,IP:2001:db8::1
pki_leaf b sub DNS:b.example,email:b@example.org,IP:192.0.2.2,IP:2001:db8::2

auth=psk
configure_ravelin b a psk aes128 1
configure_strongswan psk aes128
start_ravelind "$GWB" b
start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'
for type in fqdn email name ipv4 ipv6 keyid; do of $type; done
say "the same octets, of another type"
say_who b.example keyid:612e6578616d706c65 a.example b.example
refused_from peer RV-AUTH-004
say_who b.example a.example @#612e6578616d706c65 b.example
refused_from peer RV-AUTH-004

auth=certificates
configure_ravelin b a ec aes128 1
configure_strongswan ec aes128
for type in fqdn email name ipv4 ipv6; do of $type; done
say "what no certificate proves"
say_who b.example keyid:0a0b01 @#0a0b01 b.example
refused_from peer RV-AUTH-005

# proofs OURS TAKEN THEIRS TAKEN: lines of ravelind for its own proof and that of the peer, then psk or pubkey for
# strongSwan's own and that of ravelind.
proofs() {
  configure_ravelin b a ec aes128 1
  sed -i "0,/^certificate = /s/^certificate = .*/$1/; s/^trust = .*/$2/" "$WORK/b.toml"
  configure_strongswan ec aes128
  [[ $3 != psk ]] || sed -i '/local {/,/id =/ { s/auth = .*/auth = psk/; /certs/d }' "$WORK/ss/swanctl.conf"
  [[ $4 != psk ]] || sed -i '/remote {/,/id =/ { s/auth = .*/auth = psk/; /cacerts/d }' "$WORK/ss/swanctl.conf"
  rv b config apply > /dev/null
  swan ss --load-all > /dev/null 2>&1
  swan_mark
}
say "ravelind by certificate, strongSwan by key"
proofs 'certificate = "own"' "psk = \"$PSK\"" psk pubkey
both_roles fqdn
hold "strongSwan saw a signature" swan_said "authentication of 'b.example' with ECDSA.* successful"
hold "and gave a key" swan_said "authentication of 'a.example' \\(myself\\) with pre-shared key"
say "ravelind by key, strongSwan by certificate"
proofs "psk = \"$PSK\"" 'trust = "demo"' pubkey psk
both_roles fqdn
hold "strongSwan saw a key" swan_said "authentication of 'b.example' with pre-shared key successful"
hold "and gave a signature" swan_said "authentication of 'a.example' \\(myself\\) with ECDSA.* successful"
say "a key where a certificate is wanted"
proofs "psk = \"$PSK\"" 'trust = "demo"' psk psk
refused_from peer RV-AUTH-006
