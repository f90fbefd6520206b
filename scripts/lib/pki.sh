# Certificates for the demo, the interop scenarios and `ravelin-perf ike --compare`. Source it; do not run it.

# make_pki DIR ec|rsa: a root, an intermediate, and leaves a.example and b.example.
make_pki() {
  pki_begin "$1" "$2"
  pki_authority sub root Intermediate ,pathlen:0
  pki_leaf a sub DNS:a.example
  pki_leaf b sub DNS:b.example
}

# pki_begin DIR ec|rsa: a root there. What follows is beside it, with keys of that kind.
pki_begin() {
  PKI_DIR=$1 PKI_KIND=$2
  mkdir -p "$PKI_DIR"
  pki_root root Root
}

# pki_root NAME CN: a root.
pki_root() {
  pki_key "$1"
  openssl req -x509 -new -key "$PKI_DIR/$1.key" -subj "/O=Ravelin Demo/CN=$2" -days 30 -out "$PKI_DIR/$1.pem" \
    -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
}

# pki_authority NAME ISSUER CN [CONSTRAINT]: an intermediate.
pki_authority() {
  pki_sign "$1" "/O=Ravelin Demo/CN=$3" "$2" "basicConstraints=critical,CA:true${4:-}\nkeyUsage=critical,keyCertSign,cRLSign\n"
}

# pki_leaf NAME ISSUER ALTERNATIVE-NAMES: a gateway, whose CN is NAME.example.
pki_leaf() {
  pki_sign "$1" "/O=Ravelin Demo/CN=$1.example" "$2" \
    "basicConstraints=CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=$3\n"
}

pki_key() { # name
  case $PKI_KIND in
    ec) openssl ecparam -name prime256v1 -genkey -noout -out "$PKI_DIR/$1.key" 2>/dev/null ;;
    rsa) openssl genrsa -out "$PKI_DIR/$1.key" 2048 2>/dev/null ;;
  esac
  openssl pkcs8 -topk8 -nocrypt -in "$PKI_DIR/$1.key" -out "$PKI_DIR/$1.p8" && mv "$PKI_DIR/$1.p8" "$PKI_DIR/$1.key"
  chmod 600 "$PKI_DIR/$1.key"
}
pki_sign() { # name, subject, issuer, extensions
  pki_key "$1"
  openssl req -new -key "$PKI_DIR/$1.key" -subj "$2" -out "$PKI_DIR/$1.csr" 2>/dev/null
  openssl x509 -req -in "$PKI_DIR/$1.csr" -CA "$PKI_DIR/$3.pem" -CAkey "$PKI_DIR/$3.key" -CAcreateserial -days 20 \
    -extfile <(printf '%b' "$4subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n") -out "$PKI_DIR/$1.pem" 2>/dev/null
}
