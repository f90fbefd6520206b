#!/usr/bin/env bash
# Certificates, CRLs and keys that the store takes from URLs (PKI-05, PKI-06), of nginx (HTTP and HTTPS), slapd, vsftpd,
# tftpd-hpa and files, over IPv4 and IPv6. A private key comes over TLS and from files alone, unless the operator says
# otherwise; what is too large, slow, or not there is refused by name, and nothing is kept then.
#
#   [gateway A: the servers] 192.0.2.1 2001:db8::1 --- 192.0.2.2 2001:db8::2 [gateway B: ravelind, ravelin]
. "$(dirname "$0")/../lib/scenario.sh"
. "$ROOT/scripts/lib/servers.sh"
SERVERS=$GWA PKI=$WORK/pki SERVED=$WORK/served
for program in nginx slapd vsftpd in.tftpd; do needs "/usr/sbin/$program" "$program"; done
chmod 755 "$WORK" # servers give up root before they read

import() { ip netns exec "$GWB" "$TARGET/ravelin" --socket "$WORK/b.sock" pki import "$@" > "$WORK/said" 2>&1; }
takes() { local name=$1; shift; import "$name" "$@" || { cat "$WORK/said" >&2; return 1; }; }
# refuses PATTERN NAME URL...: it says so, and there is nothing of that name.
refuses() {
  local pattern=$1; shift
  ! import "$@" && grep -qE -- "$pattern" "$WORK/said" || { cat "$WORK/said" >&2; return 1; }
  not has "$1"
}
has() { rv b --json pki list | jq -e --arg n "$1" '[.objects[] | select(.name == $n)] | length > 0' > /dev/null; }
same() { rv b pki export "$1" --type "${3:-certificate}" --format der | cmp - "$2"; }
name_taken() { ! import sub "file://$SERVED/sub.der" && grep -q 'say --replace' "$WORK/said"; }
remove() { rv b pki remove "$1" > /dev/null; }

serve() {
  mkdir -p "$SERVED"
  make_pki "$PKI" ec
  server_certificate "$PKI" IP:192.0.2.1,IP:2001:db8::1
  openssl x509 -in "$PKI/sub.pem" -outform DER -out "$SERVED/sub.der"
  cp "$PKI/b.pem" "$PKI/b.key" "$SERVED/"
  printf 'password of files\n' > "$WORK/password"; chmod 600 "$WORK/password"
  openssl pkcs12 -export -inkey "$PKI/a.key" -in "$PKI/a.pem" -passout "file:$WORK/password" -out "$SERVED/a.p12"
  : > "$PKI/index"
  printf '[ca]\ndefault_ca=x\n[x]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=9\n' "$PKI/index" > "$PKI/ca.conf"
  openssl ca -gencrl -config "$PKI/ca.conf" -keyfile "$PKI/sub.key" -cert "$PKI/sub.pem" 2> /dev/null |
    openssl crl -outform DER -out "$SERVED/sub.crl"
  echo junk > "$SERVED/junk"
  head -c 5000000 /dev/zero > "$SERVED/large"
  chmod -R a+rX "$SERVED"
  NGINX_TLS=1 start_nginx
  start_directory "$PKI" "Sub=$SERVED/sub.crl" "Closed CA=$SERVED/sub.crl"
  start_vsftpd "$SERVED"
  start_tftpd "$SERVED"
}

net_up
gateway_a_addresses
serve
printf 'correct horse battery staple\n' > "$WORK/passphrase"; chmod 600 "$WORK/passphrase"
configure_ravelin b a psk aes128 1
printf '\n[pki]\nstore = "%s"\npassphrase-file = "passphrase"\n' "$WORK/store" >> "$WORK/b.toml"
start_ravelind "$GWB" b
TLS=(--roots "$PKI/root.pem") OBJECT='cn=Sub,o=PKI?certificateRevocationList;binary'

# A new address of IPv6 is asked about first (RFC 4862 section 5.4), and used after that.
soon 10 "IPv6 is there" in_ns "$GWB" ping -q -c 1 -W 1 2001:db8::1
say "certificates and CRLs"
for host in 192.0.2.1 '[2001:db8::1]'; do
  for scheme in http https ftp tftp; do
    hold "$scheme://$host gives the certificate" takes sub "$scheme://$host/sub.der" "${TLS[@]}"
    hold "octet for octet" same sub "$SERVED/sub.der"
    remove sub
  done
  for scheme in ldap ldaps; do
    hold "$scheme://$host gives the CRL" takes list "$scheme://$host/$OBJECT" "${TLS[@]}"
    hold "octet for octet" same list "$SERVED/sub.crl" crl
    rv b pki remove list --type crl > /dev/null
  done
done
hold "a file URL" takes sub "file://$SERVED/sub.der"
hold "its name is taken" name_taken
remove sub
hold "who shows a password" takes list "ldaps://192.0.2.1/${OBJECT/Sub/Closed%20CA}" "${TLS[@]}" --user cn=admin,o=PKI --user-password-file <(echo secret)

say "keys"
hold "over TLS" takes key "https://192.0.2.1/b.key" "${TLS[@]}"
hold "it lies there for root alone" test "$(stat -c %a "$WORK/store/keys/key.key")" = 600
hold "and sealed" not grep -rqa 'PRIVATE' "$WORK/store"
hold "PKCS#12 from a file" takes pair "file://$SERVED/a.p12" --password-file "$WORK/password"
for scheme in http ftp tftp; do
  hold "$scheme: a key that is asked for is not fetched" refuses "$scheme does not protect a private key: use https" open "$scheme://192.0.2.1/b.key" --type key
  hold "$scheme: one that comes is not kept" refuses 'has come with a private key, in sight of whoever looked' open "$scheme://192.0.2.1/b.key"
done
hold "nginx was not asked for the first" test "$(grep -c 'GET /b.key' "$WORK/nginx/access")" = 2
hold "nor one under a password" refuses 'in sight of whoever looked' open http://192.0.2.1/a.p12 --password-file "$WORK/password"
hold "but where the operator says so" takes open http://192.0.2.1/b.key --unprotected-key

say "what is refused"
hold "a server of another root" refuses 'TLS .* does not chain' no https://192.0.2.1/sub.der --roots "$PKI/sub.pem"
hold "TLS without roots" refuses 'no roots are configured' no https://192.0.2.1/sub.der
hold "what is not there" refuses 'the server answers 404' no http://192.0.2.1/none.der
hold "what is too large" refuses 'more than the 4194304' no http://192.0.2.1/large
hold "what is none of the formats" refuses 'neither PEM nor the DER' no http://192.0.2.1/junk
hold "another fingerprint" refuses 'nothing was imported' no http://192.0.2.1/sub.der --fingerprint 00
hold "SFTP, with what to do" refuses 'SFTP is OpenSSH' no sftp://192.0.2.1/sub.der
in_ns "$GWA" nft -f - <<'N'
table inet hole {
  chain input {
    type filter hook input priority 0
    tcp dport 80 drop
  }
}
N
from=$SECONDS
hold "a black hole" refuses 'not done within 2.0 s' no http://192.0.2.1/sub.der --deadline 2
hold "by its deadline" test $((SECONDS - from)) -le 4
say "pki-import: everything held"
