#!/usr/bin/env bash
# Public keys in place of certificates (RFC 7670, PKI-35): between two ravelinds, one of them with its key in the store, and
# with strongSwan by `pubkeys`, either calling.
#
#   host A --- ravelind or strongSwan === public segment === ravelind --- host B
#
# A key proves the identity it was given and no other: who shows another key, or claims another name, is refused by name. A
# key that is taken out, or changed for another, counts from the next negotiation on.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan
PKI=$WORK/pki

# by_key NAME OWN-KEY PEER KEY-FILE: that ravelind shows its key, and knows PEER by the one in the file.
by_key() {
  configure_ravelin "$1" "$([[ $1 == a ]] && echo b || echo a)" ec aes128 1
  sed -i '/^\[cert-profile.own\]/,$d' "$WORK/$1.toml"
  cat >> "$WORK/$1.toml" <<C
[cert-profile.own]
raw-public-key = true
key = "$2"
[trust-anchor-profile.demo]
public-keys = { "$3" = "$4" }
${5:-}
C
  "$TARGET/ravelin" config check "$WORK/$1.toml" > "$WORK/check" 2>&1 || { cat "$WORK/check" >&2; die "configuration refused"; }
}
up_between() { # CALLER OTHER
  rv "$1" initiate net > /dev/null
  soon 15 "$1 says the tunnel is up" tunnel_up "$1" net
  soon 5 "$2 too" tunnel_up "$2" net
  hold "hosts ping" pings "$HA" 10.2.0.2
}
down_on_both() { tunnel_down a net && tunnel_down b net; }
close_it() { rv b terminate net > /dev/null; soon 10 "it is down" down_on_both; }
evidence() { rv "$1" explain net || :; }
refused_for() { evidence b | grep -q "$1"; }
refuses() { # CODE WORDS
  rv a initiate net > /dev/null
  soon 15 "A is refused: $1" refused_for "$1"
  hold "because $2" refused_for "$2"
  hold "the tunnel is down" tunnel_down b net
}

net_up
pki_begin "$PKI" ec
for name in a b stranger; do
  pki_key "$name"
  openssl pkey -in "$PKI/$name.key" -pubout -out "$PKI/$name.pub"
done
# configure_ravelin looks at certificates that are not used then.
pki_leaf_of() { openssl req -new -key "$PKI/$1.key" -subj "/CN=$1" | openssl x509 -req -CA "$PKI/root.pem" -CAkey "$PKI/root.key" -CAcreateserial -days 2 -out "$PKI/$1.pem" 2> /dev/null; }
for name in a b; do pki_leaf_of "$name"; done
cp "$PKI/root.pem" "$PKI/sub.pem"
printf 'correct horse battery staple\n' > "$WORK/passphrase"; chmod 600 "$WORK/passphrase"
store=$(printf '[pki]\nstore = "%s"\npassphrase-file = "passphrase"\n' "$WORK/store")

say "raw keys: between two ravelinds, one key in the store"
by_key b pki/b.key a.example pki/a.pub "$store"
start_ravelind "$GWB" b
rv b pki import gw "$PKI/b.key" > /dev/null
rv b pki export gw --type public-key > "$WORK/gw.pub"
hold "the public half that leaves is the key's" cmp "$WORK/gw.pub" "$PKI/b.pub"
by_key b store:gw a.example pki/a.pub "$store"
rv b config apply > /dev/null
by_key a pki/a.key b.example pki/b.pub
start_ravelind "$GWA" a
up_between a b
hold "and by what" grep -q "known by its key in public-keys" <<< "$(evidence b)"
hold "what we show is told" grep -q "public key P-256" <<< "$(rv b show certificates)"
close_it
up_between b a
close_it

say "raw keys: who shows another key, and who has none"
by_key a pki/stranger.key b.example pki/b.pub
rv a config apply > /dev/null
refuses RV-PKI-050 "none of those of .*a.example"
by_key a pki/a.key b.example pki/b.pub
rv a config apply > /dev/null
by_key b store:gw c.example pki/a.pub "$store"
rv b config apply > /dev/null
refuses RV-PKI-049 "no public key of .*a.example"

say "raw keys: while a key is changed, both count"
cat "$PKI/stranger.pub" "$PKI/a.pub" > "$PKI/both.pub"
by_key b store:gw a.example pki/both.pub "$store"
rv b config apply > /dev/null
up_between a b
close_it
by_key a pki/stranger.key b.example pki/b.pub
rv a config apply > /dev/null
up_between a b
close_it
stop a

say "raw keys: strongSwan"
by_key b store:gw a.example pki/a.pub "$store"
rv b config apply > /dev/null
gateway_a_addresses
mkdir -p "$WORK"/ss/{x509,x509ca,private,pubkey}
configure_strongswan psk aes128
cp "$PKI/a.key" "$WORK/ss/private/"
cp "$PKI/a.pub" "$PKI/b.pub" "$PKI/stranger.pub" "$WORK/ss/pubkey/"
# theirs KEY: strongSwan knows us by that one.
theirs() {
  sed -i -e "s/local { auth = .*/local { auth = pubkey\n    pubkeys = a.pub/" -e "s/remote { auth = .*/remote { auth = pubkey\n    pubkeys = $1/" "$WORK/ss/swanctl.conf"
}
theirs b.pub
start_strongswan "$GWA" ss
hold "strongSwan calls and is let in" swan_call
soon 5 "ravelind says so" tunnel_up b net
hold "and by what" grep -q "known by its key in public-keys" <<< "$(evidence b)"
hold "hosts ping" pings "$HA" 10.2.0.2
rv b terminate net > /dev/null
soon 10 "it is down" tunnel_down b net
soon 10 "for strongSwan too" swan_empty
rv b initiate net > /dev/null
soon 15 "ravelind calls and is let in" tunnel_up b net
hold "strongSwan says so" swan_has "net.*ESTABLISHED"
hold "hosts ping" pings "$HA" 10.2.0.2
rv b terminate net > /dev/null
soon 10 "it is down" tunnel_down b net
by_key b store:gw a.example pki/stranger.pub "$store"
rv b config apply > /dev/null
hold "with another key for it strongSwan is refused" not swan_call
refused_anyhow() { refused_for 'RV-PKI-050\|RV-AUTH-00'; }
soon 10 "by its key or its signature" refused_anyhow
say "raw keys: everything held"
