#!/usr/bin/env bash
# A responder that is alive and of no use: its clock is ten days behind or ahead, it does not know the certificate, its answers
# were made before and lack our nonce. Each time strongSwan is refused with the right words, and let in when the responder
# is mended, or by the CRL that comes second. Then all is well again over IPv6, OCSP and CRL, revoked included.
#
#   host A --- strongSwan, openssl ocsp, nginx === public segment === ravelind --- host B
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/scripts/lib/servers.sh"
. "$ROOT/scripts/lib/revocation.sh"
needs charon-systemd strongSwan
needs /usr/sbin/nginx nginx
SERVERS=$GWA PKI=$WORK/pki SERVED=$WORK/served
chmod 755 "$WORK" # nginx gives up root before it reads

gcc -shared -fPIC -O1 -o "$WORK/clock.so" "$ROOT/scripts/lib/clock.c"
# responder SECONDS: openssl's, with its clock so far from ours; its answers are good for a day.
responder() {
  [[ -z ${PID_ocsp:-} ]] || { kill "$PID_ocsp"; ended "$PID_ocsp"; }
  start ocsp 8888 env CLOCK_SHIFT="$1" LD_PRELOAD="$WORK/clock.so" \
    openssl ocsp -index "$PKI/index" -port 8888 -CA "$PKI/sub.pem" -rsigner "$PKI/sub.pem" -rkey "$PKI/sub.key" -ndays 1
}
# answer_made_before: what the CA's responder said of strongSwan's certificate when nobody asked, served to whoever asks.
answer_made_before() {
  openssl ocsp -issuer "$PKI/sub.pem" -cert "$PKI/a.pem" -no_nonce -reqout "$WORK/request" 2> /dev/null
  openssl ocsp -index "$PKI/index" -CA "$PKI/sub.pem" -rsigner "$PKI/sub.pem" -rkey "$PKI/sub.key" -ndays 1 \
    -reqin "$WORK/request" -respout "$SERVED/answer" > /dev/null 2>&1
  chmod a+r "$SERVED/answer"
}
asks() { rules "$@" 'ocsp = "http://192.0.2.1:8888"'; begin; }

net_up
gateway_a_addresses
mkdir -p "$SERVED"
make_pki "$PKI" ec
configure_strongswan ec aes128
a_certificate
start_strongswan "$GWA" ss
index good; crl; start_nginx

say "ocsp: the responder's clock"
responder -864000; asks 'revocation-check = "ocsp"'
is_refused RV-LOCAL-018 "it was valid until"
responder 864000; asks 'revocation-check = "ocsp"'
is_refused RV-LOCAL-018 "it is not valid before"
asks 'status-verify = { primary = "ocsp", secondary = "crl" }' 'crl = ["http://192.0.2.1/sub.crl"]'
comes_up "good by crl"
responder 0; asks 'revocation-check = "ocsp"'
comes_up "good by ocsp"

say "ocsp: a certificate that the responder does not know"
: > "$PKI/index"; responder 0; asks 'revocation-check = "ocsp"'
is_refused RV-LOCAL-018 "does not know the certificate"
asks 'revocation-check = "ocsp none"'
comes_up "accepted without an answer"

say "ocsp: an answer made before"
index good; answer_made_before
rules 'revocation-check = "ocsp"' 'ocsp = "http://192.0.2.1:81"' 'ocsp-nonce = "strict"'; begin
is_refused RV-LOCAL-018 "lacks our nonce"
rules 'revocation-check = "ocsp"' 'ocsp = "http://192.0.2.1:81"' 'ocsp-nonce = "lenient"'; begin
comes_up "good by ocsp"

say "ocsp: over IPv6"
responder 0
rules 'revocation-check = "ocsp"' 'ocsp = "http://[2001:db8::1]:8888"'; begin
comes_up "good by ocsp"
index revoked; responder 0
rules 'revocation-check = "ocsp"' 'ocsp = "http://[2001:db8::1]:8888"'; begin
is_refused RV-PKI-043 "(keyCompromise) by ocsp"
kill "$PID_ocsp"; ended "$PID_ocsp"
rules 'revocation-check = "ocsp"' 'ocsp = "http://[2001:db8::1]:8888"'; begin
is_refused RV-LOCAL-018 "refused without an answer"

say "all hold"
