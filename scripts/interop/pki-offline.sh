#!/usr/bin/env bash
# Off-line enrolment (PKI-10) and what becomes of a key of the store, with OpenSSL as the CA and strongSwan as the peer.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# A key is made in the store, a certification request signed with it, a CA makes the certificate, which is imported; a
# tunnel comes up with both, also after a restart. A renewed certificate is taken over under traffic without a packet
# lost. Files of every format come in and go out through OpenSSL. The key is destroyed: what is up stays up, and the next
# negotiation is refused by name.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

STORE=$WORK/store
object() { rv b --json pki show "$2" | jq -er --arg k "$1" --arg f "$3" '.objects[] | select(.kind == $k) | .[$f]'; }
# refused PATTERN COMMAND...: exit code not 0, and it says so.
refused() {
  local pattern=$1; shift
  ! "$@" > "$WORK/refused" 2>&1 && grep -q "$pattern" "$WORK/refused" || { cat "$WORK/refused" >&2; return 1; }
}
# signed NAME: what the CA makes of the request, for host b.
signed() {
  openssl x509 -req -in "$WORK/gw.csr" -CA "$WORK/pki/sub.pem" -CAkey "$WORK/pki/sub.key" -CAcreateserial -days "$2" \
    -extfile <(printf 'basicConstraints=CA:false\nkeyUsage=critical,digitalSignature\nsubjectAltName=DNS:b.example\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n') \
    -out "$1" 2> /dev/null
}
up() {
  soon 15 "ravelind says the tunnel is up" tunnel_up b net
  hold "strongSwan says the child is installed" swan_has "net: #[0-9]+, reqid [0-9]+, INSTALLED, TUNNEL"
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
}
reopened() { rv b terminate net > /dev/null; soon 10 "it is down" tunnel_down b net; initiate_from ravelin strongswan; }
spis() { rv b --json show sa | jq -c '[.sas[].spi] | sort'; }

RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 3'
net_up
gateway_a_addresses
make_pki "$WORK/pki" ec
printf 'correct horse battery staple\n' > "$WORK/passphrase"; chmod 600 "$WORK/passphrase"
printf 'password of files\n' > "$WORK/password"; chmod 600 "$WORK/password"
pki=$(printf '\n[pki]\nstore = "%s"\npassphrase-file = "passphrase"\n' "$STORE")
configure_ravelin b a ec aes128 1
{ sed -e 's|"pki/b.pem"|"store:gw"|; s|"pki/b.key"|"store:gw"|; s|"pki/sub.pem"|"store:sub"|; s|"pki/root.pem"|"store:root"|' "$WORK/b.toml"; echo "$pki"; } > "$WORK/b.stored"
configure_ravelin b a psk aes128 1
echo "$pki" >> "$WORK/b.toml"
configure_strongswan ec aes128
rm "$WORK/pki/b.pem" "$WORK/pki/b.key"
start_ravelind "$GWB" b
start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'

say "a key is made and asks for a certificate"
hold "the store is empty" grep -q empty <(rv b pki list)
rv b pki genkey gw --algorithm p256 > /dev/null
hold "the key waits for a certificate" test "$(object key gw status)" = pending
hold "its name is taken" refused 'a key "gw" already' rv b pki genkey gw
hold "it lies there for root alone" test "$(stat -c %a "$STORE" "$STORE/keys" "$STORE/keys/gw.key" | paste -sd' ')" = "700 700 600"
hold "and sealed" not grep -rqa 'PRIVATE\|prime256v1' "$STORE"
rv b pki csr gw --subject "CN=b.example,O=Ravelin Demo" --san dns:b.example --out "$WORK/gw.csr"
hold "OpenSSL verifies the request" grep -q 'verify OK' <(openssl req -in "$WORK/gw.csr" -verify -noout 2>&1)
signed "$WORK/gw.pem" 20

say "the certificate is imported"
hold "another one's is refused" refused 'not that of certificate' rv b pki import gw "$WORK/pki/a.pem"
hold "another fingerprint is refused" refused 'nothing was imported' rv b pki import gw "$WORK/gw.pem" --fingerprint 00
rv b pki import gw - --fingerprint "$(openssl x509 -in "$WORK/gw.pem" -noout -fingerprint -sha256 | cut -d= -f2)" < "$WORK/gw.pem" > /dev/null
rv b pki import sub "$WORK/pki/sub.pem" > /dev/null
rv b pki import root "$WORK/pki/root.pem" > /dev/null
hold "key and certificate are a pair" test "$(object key gw status) $(object certificate gw private_key)" = "available gw"
hold "of its twenty days at most a moment has passed" grep -qxE '19|20' <(object certificate gw days_left)
hold "the serial is OpenSSL's" test "$(object certificate gw serial)" = "$(openssl x509 -in "$WORK/gw.pem" -noout -serial | cut -d= -f2 | tr A-F a-f)"
hold "the chain holds" rv b pki verify "$WORK/gw.pem" "$WORK/pki/sub.pem" --anchor "$WORK/pki/root.pem"
hold "not without its CA, and it says what was tried" refused 'no certificate of its issuer' rv b pki verify "$WORK/gw.pem" --anchor "$WORK/pki/root.pem" --explain
hold "nor in forty days, and it says both instants" refused 'expired at .*; now is' rv b pki verify "$WORK/gw.pem" "$WORK/pki/sub.pem" --anchor "$WORK/pki/root.pem" --at $(($(date +%s) + 40 * 86400))

say "a tunnel comes up with it"
cp "$WORK/b.stored" "$WORK/b.toml"
rv b config apply > /dev/null
initiate_from ravelin strongswan
up
hold "the list says who uses it" grep -q cert-profile.own <(rv b pki list)
stop b
start_ravelind "$GWB" b
soon 10 "strongSwan has forgotten the former one" not swan_has ESTABLISHED
initiate_from ravelin strongswan
up

say "a renewed certificate is taken over under traffic"
before=$(spis)
signed "$WORK/renewed.pem" 10
traffic_start "${RATE:-1000}" 60
hold "the name is taken" refused 'say --replace' rv b pki import gw "$WORK/renewed.pem"
rv b pki import gw "$WORK/renewed.pem" --replace > /dev/null
hold "the daemon has not read it yet" test "$(object certificate gw used_by)" = "[]"
rv b pki reload > /dev/null
hold "now it has" test "$(object certificate gw used_by | jq -r '.[0]')" = cert-profile.own
traffic_stop
hold "none missing, none twice" nothing_missing "$UDP"
hold "the SAs are the same" test "$(spis)" = "$before"
reopened
up
printf 'junk' > "$STORE/certificates/gw.der"
hold "what cannot be used is refused" refused 'cannot be used' rv b pki reload
hold "and listed with its reason" test "$(object certificate gw status)" = unusable
rv b pki import gw "$WORK/renewed.pem" --replace > /dev/null
reopened
up

say "files of every format"
hold "a key that is to stay does not leave" refused 'not exportable' rv b pki export gw --type pkcs12 --password-file "$WORK/password"
openssl pkcs12 -export -inkey "$WORK/pki/a.key" -in "$WORK/pki/a.pem" -certfile "$WORK/pki/sub.pem" -passout "file:$WORK/password" -out "$WORK/a.p12"
hold "a wrong password" refused 'password is wrong' rv b pki import other "$WORK/a.p12" --password-file "$WORK/passphrase"
rv b pki import other "$WORK/a.p12" --password-file "$WORK/password" --exportable > /dev/null
hold "PKCS#12 brings key and chain" test "$(object key other certificate) $(object certificate other-2 certificate_authority)" = "other true"
rv b pki export other --type pkcs12 --chain other-2 --password-file "$WORK/password" --out "$WORK/out.p12"
hold "OpenSSL opens what left" grep -q 'BEGIN PRIVATE KEY' <(openssl pkcs12 -in "$WORK/out.p12" -passin "file:$WORK/password" -nodes 2> /dev/null)
rv b pki export other --type key --password-file "$WORK/password" --out "$WORK/out.key"
hold "the key is the one that came" test "$(openssl pkey -in "$WORK/out.key" -passin "file:$WORK/password" -pubout)" = "$(openssl pkey -in "$WORK/pki/a.key" -pubout)"
hold "and that it left is told" told pki-key-exported 'key other'
rv b pki export gw --format pkcs7-pem --chain sub > "$WORK/out.p7b"
hold "PKCS#7 has both" test "$(openssl pkcs7 -in "$WORK/out.p7b" -print_certs -noout | grep -c subject)" = 2
: > "$WORK/index"
openssl ca -config <(printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=9\n' "$WORK/index") \
  -gencrl -keyfile "$WORK/pki/sub.key" -cert "$WORK/pki/sub.pem" -out "$WORK/sub.crl" 2> /dev/null || die "no CRL"
rv b pki import sub "$WORK/sub.crl" > /dev/null
rv b pki export sub --type crl --out "$WORK/out.crl"
hold "a CRL comes back as it went" cmp "$WORK/sub.crl" "$WORK/out.crl"

say "the key is destroyed"
before=$(spis)
hold "not without a word" refused 'no terminal\|nothing was destroyed' setsid -w "$TARGET/ravelin" --socket "$WORK/b.sock" pki zeroize gw
rv b pki zeroize gw --yes > "$WORK/zeroized"
hold "it says what to do" grep -q 'have the CA revoke' "$WORK/zeroized"
hold "key and certificate are gone" test ! -e "$STORE/keys/gw.key" -a ! -e "$STORE/certificates/gw.der"
hold "what is up stays up" test "$(spis)" = "$before"
hold "and carries" pings "$HA" 10.2.0.2
rv b terminate net > /dev/null
soon 10 "it is down" tunnel_down b net
rv b initiate net > /dev/null
no_key() { grep -q 'no private key is loaded for own' <(rv b explain net); }
soon 10 "the next negotiation is refused by name" no_key
hold "and the daemon lives" alive b
say "pki-offline: everything held"
