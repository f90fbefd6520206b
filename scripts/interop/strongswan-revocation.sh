#!/usr/bin/env bash
# A peer's certificate and whether it is revoked: by a CRL from nginx and by `openssl ocsp`, each alive, dead, with the
# peer revoked, out of date, and forged; ends in a tunnel, or in the right refusal with the right words.
#
#   host A --- strongSwan, nginx, openssl ocsp === public segment === ravelind --- host B
#
# Then what the rules make of it when nobody answers, over IPv6 too; a server that swallows everything holds up nobody
# else; a CRL that comes while the tunnel is up ends it; addresses of certificates in private networks are not asked.
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/scripts/lib/servers.sh"
. "$ROOT/scripts/lib/revocation.sh"
needs charon-systemd strongSwan
needs /usr/sbin/nginx nginx
SERVERS=$GWA PKI=$WORK/pki SERVED=$WORK/served
chmod 755 "$WORK" # nginx gives up root before it reads

# responder SIGNER: openssl's, answering with that certificate.
responder() {
  start ocsp 8888 openssl ocsp -index "$PKI/index" -port 8888 -CA "$PKI/sub.pem" -rsigner "$PKI/$1.pem" -rkey "$PKI/$1.key" -ndays 1
}

net_up
gateway_a_addresses
mkdir -p "$SERVED"
make_pki "$PKI" ec
make_pki "$WORK/other" ec
cp "$WORK/other/sub.pem" "$PKI/forger.pem"; cp "$WORK/other/sub.key" "$PKI/forger.key"
openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/responder.key"
openssl req -new -key "$PKI/responder.key" -subj "/O=Ravelin Demo/CN=Responder" |
  openssl x509 -req -CA "$PKI/sub.pem" -CAkey "$PKI/sub.key" -CAcreateserial -days 2 -out "$PKI/responder.pem" \
    -extfile <(printf '%s\n' basicConstraints=CA:false extendedKeyUsage=OCSPSigning noCheck=ignored keyUsage=critical,digitalSignature authorityKeyIdentifier=keyid) 2> /dev/null
configure_strongswan ec aes128
a_certificate crlDistributionPoints=URI:http://192.0.2.1/sub.crl "authorityInfoAccess=OCSP;URI:http://192.0.2.1:8888"
start_strongswan "$GWA" ss
# 192.0.2.0/24 is for documentation: certificates may not lead there unless the operator says so.
ALLOW='fetch = { allow = ["192.0.2.0/24", "2001:db8::/32"], timeout = 2 }'
allowed() { sed -i "1i $ALLOW" "$WORK/b.toml"; }

say "revocation: addresses of certificates"
index good; crl; start_nginx
rules 'revocation-check = "crl"'; begin
is_refused RV-LOCAL-018 "reserved for other things"

say "revocation: by CRL"
rules 'revocation-check = "crl"'; allowed; begin
comes_up "good by crl"
hold "nginx was asked for it" grep -q "GET /sub.crl" "$WORK/nginx/access"
index revoked; crl; begin
is_refused RV-PKI-043 "revoked at 2026-01-01T00:00:00Z (keyCompromise) by crl"
index good; crl forger; begin
is_refused RV-LOCAL-018 "refused without an answer"
crl sub -crl_lastupdate 20260101000000Z -crl_nextupdate 20260102000000Z; begin
is_refused RV-LOCAL-018 "it should have been replaced by 2026-01-02"
kill "$PID_nginx"; ended "$PID_nginx"; begin
is_refused RV-LOCAL-018 "refused without an answer"
rules 'revocation-check = "crl none"'; allowed; begin
comes_up "accepted without an answer"

say "revocation: by OCSP"
rules 'revocation-check = "ocsp"' 'ocsp-nonce = "strict"'; allowed
responder responder; begin
comes_up "good by ocsp"
kill "$PID_ocsp"; ended "$PID_ocsp"
index revoked; responder responder; begin
is_refused RV-PKI-043 "(keyCompromise) by ocsp"
kill "$PID_ocsp"; ended "$PID_ocsp"
index good; responder forger; begin
is_refused RV-LOCAL-018 "refused without an answer"
kill "$PID_ocsp"; ended "$PID_ocsp"; begin
is_refused RV-LOCAL-018 "refused without an answer"
crl; start_nginx
rules 'status-verify = { primary = "ocsp", secondary = "crl" }'; allowed; begin
comes_up "good by crl"

say "revocation: over IPv6, by a configured address"
rules 'revocation-check = "crl"' 'crl = ["http://[2001:db8::1]/sub.crl"]'; begin
held_from() { rv b show revocation | grep -q -- "$1"; }
soon 15 "the CRL is there before anybody calls" held_from "2001:db8::1"
comes_up "good by crl"

say "revocation: a tunnel that is up ends when its certificate is revoked"
rules 'revocation-check = "crl"' 'crl = ["http://192.0.2.1/sub.crl"]'; begin
hold "strongSwan is let in" call
hold "hosts ping" pings "$HA" 10.2.0.2
index revoked; crl
hold "the CRL is fetched when asked for" rv b pki crl-update sub
soon 5 "the tunnel ends" tunnel_down b net
hold "and says why" grep -q "RV-AUTH-005.*RV-PKI-044\|RV-PKI-044" <<< "$(evidence || :)"
hold "and the journal has the CRL" grep -q crl-updated <<< "$(rv b events)"
hold "strongSwan was told" not grep -q ESTABLISHED <<< "$(swan ss --list-sas)"
hold "it is not let in again" not call
stop b

say "revocation: our own certificate"
printf 'R\t300101000000Z\t260101000000Z,superseded\t%s\tunknown\t/CN=b.example\n' \
  "$(openssl x509 -in "$PKI/b.pem" -noout -serial | cut -d= -f2)" > "$PKI/index"
crl
rules 'revocation-check = "crl"' 'crl = ["http://192.0.2.1/sub.crl"]'; allowed; begin
own_is_revoked() { rv b events | grep -q "own-certificate-revoked.*superseded"; }
soon 20 "ravelind notices that its own certificate is revoked" own_is_revoked
hold "and shows it to nobody" not call
hold "for RV-KEY-003" grep -q RV-KEY-003 <<< "$(evidence || :)"
stop b

say "revocation: a responder that swallows everything holds up nobody else"
index good; crl
ip -n "$GWA" addr add 192.0.2.77/24 dev wan0
in_ns "$GWA" nft -f - <<'N'
table inet hole {
  chain input {
    type filter hook input priority 0
    ip daddr 192.0.2.77 drop
  }
}
N
rules 'status-verify = { primary = "ocsp", secondary = "crl" }' 'ocsp = "http://192.0.2.77/"'; allowed; begin
swan ss --initiate --child net --timeout 20 > "$WORK/ss/waiting" 2>&1 & waiting=$!
PIDS+=("$waiting")
hold "ravelind answers operators meanwhile" rv b show revocation
hold "the peer is let in by the CRL in the end" wait "$waiting"
hold "ravelind says by what" grep -q "good by crl" <<< "$(evidence)"
stop b
