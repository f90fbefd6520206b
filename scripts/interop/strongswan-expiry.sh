#!/usr/bin/env bash
# What becomes of tunnels when certificates and CRLs end (PKI-29, PKI-30): ravelind's clock is set forth and back while it
# runs, with strongSwan, whose clock is right, as the peer.
#
#   host A --- strongSwan, nginx === public segment === ravelind, with a clock that is set --- host B
#
# What ends takes no tunnel down: what is up carries and is rekeyed, and the next negotiation is refused with both instants. The
# clock set right, or a newer CRL, mends it without a restart. Flags of the authorities and events say so meanwhile. A clock that no
# time daemon keeps right is warned of (PKI-31).
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/scripts/lib/servers.sh"
. "$ROOT/scripts/lib/revocation.sh"
needs charon-systemd strongSwan
needs /usr/sbin/nginx nginx
needs gcc gcc
SERVERS=$GWA PKI=$WORK/pki SERVED=$WORK/served DAY=86400
chmod 755 "$WORK" # nginx gives up root before it reads

# clock DAYS: ravelind's is so far ahead of all others.
clock() { printf '%d\n' $(($1 * DAY)) > "$WORK/shift"; }
flags() { rv b --json pki list | jq -r --arg n "$1" '.ca_profiles[] | select(.ca_profile == $n) | "\(.state) \(.flags | join(","))"'; }
stands() { [[ $(flags "$1") == "$2" ]]; }
spis() { rv b --json show sa | jq -c '[.sas[].spi] | sort'; }
rekeyed() { [[ $(sas b) == 2 && $(spis) != "$1" ]]; }
warns() { rv b --json doctor | jq -e '[.findings[] | select(.subject == "clock of this machine" and .severity == "warning")] | length == 1' > /dev/null; }
carries() { hold "what is up stays up" tunnel_up b net; hold "and carries" pings "$HA" 10.2.0.2; }
close_it() { rv b terminate net > /dev/null; soon 10 "it is down again" tunnel_down b net; }
refused() { # CODE WORDS
  hold "strongSwan is refused" not call
  hold "for $1" grep -q "$1" <<< "$(evidence || :)"
  hold "because $2" grep -q -- "$2" <<< "$(evidence || :)"
}
let_in() { hold "strongSwan is let in" call; soon 5 "ravelind says so" tunnel_up b net; }

net_up
gateway_a_addresses
mkdir -p "$SERVED"
make_pki "$PKI" ec
configure_strongswan ec aes128
# The peer's certificate ends first: in ten days.
openssl x509 -req -in "$PKI/a.csr" -CA "$PKI/sub.pem" -CAkey "$PKI/sub.key" -CAcreateserial -days 10 -out "$PKI/a.pem" \
  -extfile <(printf '%s\n' basicConstraints=CA:false keyUsage=critical,digitalSignature subjectAltName=DNS:a.example authorityKeyIdentifier=keyid) 2> /dev/null
cp "$PKI/a.pem" "$WORK/ss/x509/"
start_strongswan "$GWA" ss
clock_shim
clock 0
DAEMON_ENVIRONMENT=(LD_PRELOAD="$WORK/clock.so" CLOCK_SHIFT_FILE="$WORK/shift" CLOCK_KEPT_FILE="$WORK/kept")
rules 'revocation = "off"'
printf '\n[ca-profile.root]\ncertificate = "pki/root.pem"\n' >> "$WORK/b.toml"
begin

say "expiry: the peer's certificate"
soon 10 "a clock that nobody keeps right is warned of" warns
hold "and told" told clock-unsynchronised
touch "$WORK/kept"
let_in
hold "both authorities stand" stands sub "up "
clock 11
carries
before=$(spis)
rv b rekey net > /dev/null
soon 10 "it is rekeyed" rekeyed "$before"
carries
close_it
refused RV-PKI-035 "expired at"
clock 0
let_in

say "expiry: the authority's"
clock 21
hold "the authority is down" stands sub "down expired-certificate"
hold "the one above it is not" stands root "up "
carries
close_it
refused RV-PKI-035 "expired at"
soon 70 "and it is told" told certificate-expired 'ca-profile sub'
hold "so is a clock that is kept right again" told clock-synchronised
hold "which nobody is warned of" not warns
clock -2
hold "too early is as bad" stands sub "down not-yet-valid-certificate"
refused RV-PKI-034 "not valid before"
clock 0
hold "the clock set right, all stand" stands sub "up "
let_in
stop b

say "expiry: a CRL"
index good; crl; start_nginx
rules 'revocation-check = "crl"' 'crl-duty = "mandatory"' 'crl = ["http://192.0.2.1/sub.crl"]'; begin
let_in
hold "by the CRL" grep -q "good by crl" <<< "$(evidence)"
hold "the authority stands" stands sub "up "
clock 3
hold "its CRL has ended" stands sub "down expired-crl"
carries
close_it
refused RV-LOCAL-019 "its CA has no usable CRL"
soon 70 "and it is told" told crl-expired Intermediate
crl sub -crl_lastupdate "$(date -u -d '+3 days -1 hour' +%Y%m%d%H%M%SZ)" -crl_nextupdate "$(date -u -d '+5 days' +%Y%m%d%H%M%SZ)"
hold "a newer one is fetched when asked for" rv b pki crl-update sub
soon 10 "the authority stands" stands sub "up "
let_in
stop b
say "expiry: everything held"
