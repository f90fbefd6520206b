#!/usr/bin/env bash
# A peer's CRL from every kind of server that ravelind fetches from besides HTTP: HTTPS, LDAP, LDAPS, FTP and TFTP, over IPv4
# and IPv6. From each the CRL is there before anybody calls, the peer is let in by it, and a newer one that lists the peer
# ends its tunnel; one that is stale or forged counts for nothing (RAVELIN_FULL=1: from each server). A server of TLS that the
# roots do not vouch for brings nothing. Then by the addresses in the peer's own certificate, of which the first servers are
# dead; and by SFTP, as the manual has it.
#
#   host A --- strongSwan, nginx, slapd, vsftpd, tftpd-hpa, sshd === public segment === ravelind --- host B
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/scripts/lib/servers.sh"
. "$ROOT/scripts/lib/revocation.sh"
needs charon-systemd strongSwan
for program in nginx slapd vsftpd in.tftpd sshd; do needs "/usr/sbin/$program" "$program"; done
SERVERS=$GWA PKI=$WORK/pki SERVED=$WORK/served
chmod 755 "$WORK" # servers give up root before they read

# publish good|revoked|stale|forged: a new CRL that says so, or that is out of date, or of another key, in all servers.
publish() {
  case $1 in
    stale) index good; crl sub -crl_lastupdate 20260101000000Z -crl_nextupdate 20260102000000Z ;;
    forged) index good; crl forger ;;
    *) index "$1"; crl ;;
  esac
  [[ -z ${PID_slapd:-} ]] || { kill "$PID_slapd"; ended "$PID_slapd"; }
  start_directory "$PKI" "Sub=$SERVED/sub.crl"
}
# trusted: ravelind may go to these networks for certificates, and believes the root's servers.
trusted() { sed -i '1i fetch = { allow = ["192.0.2.0/24", "2001:db8::/32"], roots = ["pki/root.pem"], timeout = 2 }' "$WORK/b.toml"; }
held_from() { rv b --json show revocation | jq -e --arg u "$1" '[.crls[] | select(.source == $u)] | length == 1' > /dev/null; }
is_ended() { grep -q RV-PKI-044 <<< "$(evidence || :)"; }

net_up
gateway_a_addresses
mkdir -p "$SERVED"
make_pki "$PKI" ec
make_pki "$WORK/other" ec
cp "$WORK/other/sub.pem" "$PKI/forger.pem"; cp "$WORK/other/sub.key" "$PKI/forger.key"
server_certificate "$PKI" IP:192.0.2.1,IP:2001:db8::1
configure_strongswan ec aes128
OBJECT='cn=Sub%2Co=PKI?certificateRevocationList;binary'
a_certificate "crlDistributionPoints=URI:ldap://[2001:db8::1]/$OBJECT,URI:tftp://192.0.2.1/sub.crl,URI:ftp://192.0.2.1/sub.crl"
start_strongswan "$GWA" ss
start_vsftpd "$SERVED"
start_tftpd "$SERVED"
NGINX_TLS=1 start_nginx

for url in "https://[2001:db8::1]/sub.crl" "ldap://192.0.2.1/$OBJECT" "ldaps://[2001:db8::1]/$OBJECT" "ftp://[2001:db8::1]/sub.crl" "tftp://192.0.2.1/sub.crl"; do
  say "schemes: $url"
  publish good
  rules 'revocation-check = "crl"' "crl = [\"$url\"]"; trusted; begin
  soon 15 "the CRL is there before anybody calls" held_from "$url"
  hold "strongSwan is let in" call
  hold "by that CRL" grep -qF "crl $url: good" <<< "$(evidence)"
  publish revoked
  hold "a newer one is fetched when asked for" rv b pki crl-update sub
  soon 10 "the tunnel ends" tunnel_down b net
  hold "because of it" is_ended
  stop b
  # What makes a CRL unfit is the same from wherever it comes.
  ((FULL)) || [[ $url == https://* || $url == ldap://* ]] || continue
  for state in stale forged; do
    say "schemes: $url, $state"
    publish "$state"
    rules 'revocation-check = "crl"' "crl = [\"$url\"]"; trusted; begin
    is_refused RV-LOCAL-018 "refused without an answer"
  done
done

say "schemes: a server that the roots do not vouch for"
publish good
rules 'revocation-check = "crl"' 'crl = ["https://192.0.2.1/sub.crl"]'
sed -i '1i fetch = { roots = ["pki/sub.pem"], timeout = 2 }' "$WORK/b.toml"; begin
is_refused RV-LOCAL-018 "does not chain to any of the roots"

say "schemes: by the addresses in the certificate"
publish good
rules 'revocation-check = "crl"'; trusted; begin
comes_up "crl ldap://\[2001:db8::1\]/"
kill "$PID_slapd"; ended "$PID_slapd"
rules 'revocation-check = "crl"'; trusted; begin
comes_up "crl tftp://192.0.2.1/sub.crl: good"
kill "$PID_tftpd"; ended "$PID_tftpd"
rules 'revocation-check = "crl"'; trusted; begin
comes_up "crl ftp://192.0.2.1/sub.crl: good"
kill "$PID_vsftpd"; ended "$PID_vsftpd"
rules 'revocation-check = "crl"'; trusted; begin
is_refused RV-LOCAL-018 "refused without an answer"

say "schemes: by SFTP, as the manual has it"
start_sshd "$SERVED"
COPIES=$WORK/copies
mkdir "$COPIES"
# The recipe of docs/revocation.md, with this server's name and keys.
recipe() {
  in_ns "$GWB" sftp -b - -F none -i "$WORK/ssh/client" -o UserKnownHostsFile="$WORK/ssh/known" -o StrictHostKeyChecking=yes \
    root@192.0.2.1 <<< "get sub.crl $COPIES/.sub.crl" > "$WORK/sftp" 2>&1 && mv "$COPIES/.sub.crl" "$COPIES/sub.crl"
}
index good; crl
rules 'revocation-check = "crl"' "crl = [\"file://$COPIES/sub.crl\"]"
sed -i "1i fetch = { files = \"$COPIES\" }" "$WORK/b.toml"; begin
hold "a server with another key is not asked" not recipe
hold "and said to be another" grep -q "Host key verification failed" "$WORK/sftp"
printf '192.0.2.1 %s\n' "$(cut -d' ' -f1,2 "$WORK/ssh/host.pub")" > "$WORK/ssh/known"
hold "the known one gives the CRL" recipe
hold "ravelind reads it" rv b pki crl-update sub
soon 10 "it is there" held_from "file://$COPIES/sub.crl"
hold "strongSwan is let in" call
index revoked; crl
hold "a newer one comes" recipe
hold "and is read" rv b pki crl-update sub
soon 10 "the tunnel ends" tunnel_down b net
hold "because of it" is_ended
stop b

say "all hold"
