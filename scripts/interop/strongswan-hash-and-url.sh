#!/usr/bin/env bash
# Certificates by hash and URL (RFC 7296 §3.6), both ways, in both roles: nginx has them, and each side looks up the other's.
#
#   host A --- strongSwan, nginx === public segment === ravelind --- host B
#
# Not looked up where that is not configured; another certificate, no answer, or an address that is not allowed is
# refused with the right words.
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/scripts/lib/servers.sh"
needs charon-systemd strongSwan
needs /usr/lib/ipsec/plugins/libstrongswan-curl.so "strongSwan's fetcher"
needs /usr/sbin/nginx nginx
SERVERS=$GWA PKI=$WORK/pki SERVED=$WORK/served
chmod 755 "$WORK" # nginx gives up root before it reads

der() { openssl x509 -in "$PKI/$1.pem" -outform DER -out "$SERVED/$2" && chmod a+r "$SERVED/$2"; }
# ravelind TRUST-LINE NETWORK: with that in its trust-anchor-profile, and certificates from that network.
ravelind() {
  configure_ravelin b a ec aes128 1
  echo "$1" >> "$WORK/b.toml"
  sed -i "s|^key = \"pki/b.key\"|&\nhash-and-url = \"http://192.0.2.1/b.der\"|; 1i fetch = { allow = [\"$2\"], timeout = 2 }" "$WORK/b.toml"
  start_ravelind "$GWB" b
}
# asked FILE: how often nginx was asked for it.
asked() { grep -c "GET /$1 " "$WORK/nginx/access" || :; }
lookups() { test "$(counter b certificate-lookups) $(counter b certificate-lookups-failed)" = "$1 $2"; }
# by ROLE OURS THEIRS: the tunnel comes up, called by that side, and nginx was asked so often altogether.
by() {
  swan ss --flush-certs > /dev/null # it keeps what it has looked up
  initiate_from "$1" strongswan
  soon 15 "the tunnel is up, called by $1" tunnel_up b net
  hold "hosts ping" pings "$HA" 10.2.0.2
  hold "strongSwan has looked up ours $2 times" test "$(asked b.der)" = "$2"
  hold "ravelind has looked up strongSwan's $3 times" test "$(asked "$A")" = "$3"
  rv b terminate net > /dev/null
  soon 5 "it is down again" tunnel_down b net
}
# is_refused CODE WORDS
is_refused() {
  hold "strongSwan is refused" not swan_call
  hold "it was told AUTHENTICATION_FAILED" grep -q AUTHENTICATION_FAILED "$WORK/ss/initiate"
  local said; said=$(rv b explain net || :)
  hold "for $1: $2" grep -q "$1.*$2" <<< "$said"
}

net_up
gateway_a_addresses
mkdir -p "$SERVED"
make_pki "$PKI" ec
der b b.der
A=$(openssl x509 -in "$PKI/a.pem" -outform DER | sha1sum | cut -d' ' -f1)
der a "$A"
configure_strongswan ec aes128
printf 'authorities { sub { cacert = sub.pem\n  cert_uri_base = http://192.0.2.1/ } }\n' >> "$WORK/ss/swanctl.conf"
start_nginx
SWAN_PLUGINS=" curl"
start_strongswan "$GWA" ss "hash_and_url = yes"

say "hash and URL: both ways"
ravelind "hash-and-url = true" 192.0.2.0/24
by peer 1 1
by ravelin 2 2
hold "both are counted" lookups 2 0

say "hash and URL: what is not what it should be"
der b "$A"
is_refused RV-PKI-046 "its SHA-1 is .* and the peer said $A"
kill "$PID_nginx"; ended "$PID_nginx"
is_refused RV-LOCAL-022 "refuses the connection"
hold "both are counted" lookups 2 2
stop b

say "hash and URL: an address that is not allowed"
der a "$A"; start_nginx; : > "$WORK/nginx/access"
ravelind "hash-and-url = true" 198.51.100.0/24
is_refused RV-LOCAL-022 "192.0.2.1.*reserved for other things"
hold "nobody was asked" test "$(asked "$A")" = 0
stop b

say "hash and URL: not configured"
ravelind "" 192.0.2.0/24
by peer 1 0
hold "nothing was looked up" lookups 0 0

say "all hold"
