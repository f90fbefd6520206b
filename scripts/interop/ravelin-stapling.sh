#!/usr/bin/env bash
# The responder's word within IKE (RFC 4806) between two ravelinds: A asks its responder about its own certificate and
# brings what it says; B, which reaches no responder, lets A in by that and by nothing else.
#
#   host A --- ravelind, openssl ocsp === public segment === ravelind --- host B
#
# Without the word A is refused; with it both may call; it outlives the responder, and B asks nobody. A word that A takes for
# good and B does not counts for nothing: one out of date, of an A whose clock is behind, and one of a signer that A's rules
# allow and B's do not.
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/scripts/lib/servers.sh"
SERVERS=$GWA PKI=$WORK/pki
needs gcc gcc

# index: the CA knows both gateways' certificates, and they are good.
index() {
  local name
  for name in a b; do
    printf 'V\t300101000000Z\t\t%s\tunknown\t/CN=%s.example\n' \
      "$(openssl x509 -in "$PKI/$name.pem" -noout -serial | cut -d= -f2)" "$name"
  done > "$PKI/index"
}
# rules NAME LINES...: of that ravelind, for what the intermediate has issued.
rules() {
  printf '\n[ca-profile.sub]\ncertificate = "pki/sub.pem"\n' >> "$WORK/$1.toml"
  printf '%s\n' "${@:2}" >> "$WORK/$1.toml"
}
A_ENVIRONMENT=()
begin() { # LINES OF A...
  configure_ravelin a b ec aes128 1
  configure_ravelin b a ec aes128 2
  rules a "$@"
  rules b 'revocation-check = "ocsp"'
  rm -rf "$WORK/b.state"
  DAEMON_ENVIRONMENT=("${A_ENVIRONMENT[@]}")
  start_ravelind "$GWA" a
  DAEMON_ENVIRONMENT=()
  start_ravelind "$GWB" b
}
evidence() { rv b explain net || :; } # it fails where the tunnel is down
refused_for() { evidence | grep -q "$1"; }
answered() { (($(rv a --json show revocation | jq .ocsp_answers) >= $1)); }
down_on_both() { tunnel_down a net && tunnel_down b net; }
close_it() { rv b terminate net > /dev/null; soon 5 "it is down again" down_on_both; }
by_the_word() {
  hold "B believes A by what A brought" grep -q "good by ocsp stapled" <<< "$(evidence)"
  hold "and B has asked nobody" test "$(rv b --json show revocation | jq '.resting | length')" = 0
  hold "hosts ping" pings "$HA" 10.2.0.2
}

# responder NAME DAYS: openssl's, answering with that certificate, its clock so far behind; its answers are good for a day.
responder() {
  start ocsp 8888 env LD_PRELOAD="$WORK/clock.so" CLOCK_SHIFT=-$(($2 * 86400)) \
    openssl ocsp -index "$PKI/index" -port 8888 -CA "$PKI/sub.pem" -rsigner "$PKI/$1.pem" -rkey "$PKI/$1.key" -ndays 1
}

net_up
clock_shim
# Ten days old, so that a clock that is behind finds it good.
(export LD_PRELOAD="$WORK/clock.so" CLOCK_SHIFT=-864000; make_pki "$PKI" ec)
index

say "stapling: nothing is brought"
begin 'revocation-check = "none"'
rv a initiate net > /dev/null
soon 15 "A is refused: nobody gives word on it" refused_for RV-LOCAL-018
hold "the tunnel is down" tunnel_down b net
stop a; stop b

say "stapling: A brings its responder's word"
responder sub 0
begin 'revocation-check = "ocsp"' 'ocsp = "http://127.0.0.1:8888/"'
soon 15 "A has the word on its own certificate" answered 1
rv a initiate net > /dev/null
soon 15 "A is let in" tunnel_up b net
by_the_word
hold "A believes B by what it asked itself" grep -q "good by ocsp, " <<< "$(rv a explain net)"
close_it
rv b initiate net > /dev/null
soon 15 "B may call as well" tunnel_up b net
by_the_word
close_it

say "stapling: the word outlives the responder"
kill "$PID_ocsp"; ended "$PID_ocsp"
stop b; rm -rf "$WORK/b.state"; start_ravelind "$GWB" b
rv b initiate net > /dev/null
soon 15 "B, which knew nothing, believes A" tunnel_up b net
by_the_word
hold "B counts it" test "$(counter b revocation-good-stapled)" -ge 1
hold "and nothing was brought in vain" test "$(counter b revocation-stapled-refused)" = 0

# brought_in_vain WORDS: A has a word and brings it, and B refuses A, for the word is none to it.
brought_in_vain() {
  soon 15 "A has the word on its own certificate" answered 1
  rv a initiate net > /dev/null
  soon 15 "A is refused: nobody gives word that counts" refused_for RV-LOCAL-018
  hold "B says what is wrong with what was brought" told ocsp-stapled-refused "$1"
  hold "and counts it" test "$(counter b revocation-stapled-refused)" -ge 1
  hold "the tunnel is down" tunnel_down b net
  stop a; stop b; kill "$PID_ocsp"; ended "$PID_ocsp"
}

say "stapling: a word that is out of date, of an A whose clock is three days behind"
stop a; stop b
responder sub 3
A_ENVIRONMENT=(LD_PRELOAD="$WORK/clock.so" CLOCK_SHIFT=-259200)
begin 'revocation-check = "ocsp"' 'ocsp = "http://127.0.0.1:8888/"'
brought_in_vain "it was valid until"
A_ENVIRONMENT=()

say "stapling: a word of a signer that A's rules allow and B's do not"
openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/responder.key"
openssl req -new -key "$PKI/responder.key" -subj "/O=Ravelin Demo/CN=Responder" |
  openssl x509 -req -CA "$PKI/sub.pem" -CAkey "$PKI/sub.key" -CAcreateserial -days 2 -out "$PKI/responder.pem" \
    -extfile <(printf '%s\n' basicConstraints=CA:false extendedKeyUsage=OCSPSigning keyUsage=critical,digitalSignature authorityKeyIdentifier=keyid) 2> /dev/null
responder responder 0
begin 'revocation-check = "ocsp"' 'ocsp = "http://127.0.0.1:8888/"' 'ocsp-unchecked-responders = true'
brought_in_vain "is not acceptable"

say "all hold"
