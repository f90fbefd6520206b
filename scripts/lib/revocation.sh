# A strongSwan peer whose certificate a CA may revoke, the CA's CRL, and what ravelind makes of them. Source it after
# servers.sh, with PKI the folder of certificates and SERVED the one that servers serve.

# a_certificate LINES...: strongSwan's certificate, with these extensions besides.
a_certificate() {
  openssl x509 -req -in "$PKI/a.csr" -CA "$PKI/sub.pem" -CAkey "$PKI/sub.key" -CAcreateserial -days 20 -out "$PKI/a.pem" \
    -extfile <(printf '%s\n' basicConstraints=CA:false keyUsage=critical,digitalSignature subjectAltName=DNS:a.example \
      authorityKeyIdentifier=keyid "$@") 2> /dev/null
  cp "$PKI/a.pem" "$WORK/ss/x509/"
}
# index good|revoked: what the CA knows of that certificate.
index() {
  local serial; serial=$(openssl x509 -in "$PKI/a.pem" -noout -serial | cut -d= -f2)
  case $1 in
    good) printf 'V\t300101000000Z\t\t%s\tunknown\t/CN=a.example\n' "$serial" > "$PKI/index" ;;
    revoked) printf 'R\t300101000000Z\t260101000000Z,keyCompromise\t%s\tunknown\t/CN=a.example\n' "$serial" > "$PKI/index" ;;
  esac
}
# crl [KEY] [ARGUMENTS...]: the CRL of the intermediate, signed with its key or another, in the server's directory.
crl() {
  local key=${1:-sub}; shift || :
  printf '[ca]\ndefault_ca=x\n[x]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=2\ncrl_extensions=e\ncrlnumber=%s\n[e]\nauthorityKeyIdentifier=keyid\n' \
    "$PKI/index" "$PKI/crlnumber" > "$PKI/ca.conf"
  [[ -e $PKI/crlnumber ]] || echo 01 > "$PKI/crlnumber"
  openssl ca -gencrl -config "$PKI/ca.conf" -keyfile "$PKI/$key.key" -cert "$PKI/$key.pem" "$@" 2> /dev/null |
    openssl crl -outform DER -out "$PKI/new.crl" && mv "$PKI/new.crl" "$SERVED/sub.crl" && chmod a+r "$SERVED/sub.crl"
}
# rules LINES...: ravelind's, for what the intermediate has issued.
rules() {
  configure_ravelin b a ec aes128 1
  printf '\n[ca-profile.sub]\ncertificate = "pki/sub.pem"\n' >> "$WORK/b.toml"
  printf '%s\n' "$@" >> "$WORK/b.toml"
}
begin() { rm -rf "$WORK/b.state"; start_ravelind "$GWB" b; }
call() { swan ss --initiate --child net --timeout 20 > "$WORK/ss/initiate" 2>&1; }
evidence() { rv b explain net; }
# comes_up WORDS: strongSwan is let in, and explain says why.
comes_up() {
  hold "strongSwan is let in" call
  hold "ravelind says it is up" tunnel_up b net
  hold "and by what: $1" grep -q -- "$1" <<< "$(evidence)"
  rv b terminate net > /dev/null
  soon 5 "it is down again" tunnel_down b net
  stop b
}
# is_refused CODE WORDS: it is not, for this reason.
is_refused() {
  hold "strongSwan is refused" not call
  hold "it was told AUTHENTICATION_FAILED" grep -q AUTHENTICATION_FAILED "$WORK/ss/initiate"
  local said; said=$(evidence || :)
  hold "for $1" grep -q "$1" <<< "$said"
  hold "because $2" grep -q -- "$2" <<< "$said"
  stop b
}
