# Certificates for the demo, the interop scenarios and `ravelin-perf ike --compare`. Source it; do not run it.

# make_pki DIR ec|rsa: a root, an intermediate, and leaves a.example and b.example.
make_pki() {
  local dir=$1 kind=$2 name
  mkdir -p "$dir"
  newkey() {
    case $kind in
      ec) openssl ecparam -name prime256v1 -genkey -noout -out "$dir/$1.key" 2>/dev/null ;;
      rsa) openssl genrsa -out "$dir/$1.key" 2048 2>/dev/null ;;
    esac
    openssl pkcs8 -topk8 -nocrypt -in "$dir/$1.key" -out "$dir/$1.p8" && mv "$dir/$1.p8" "$dir/$1.key"
    chmod 600 "$dir/$1.key"
  }
  newkey root
  openssl req -x509 -new -key "$dir/root.key" -subj "/O=Ravelin Demo/CN=Root" -days 30 -out "$dir/root.pem" \
    -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
  sign() { # name, subject, issuer, extensions
    newkey "$1"
    openssl req -new -key "$dir/$1.key" -subj "$2" -out "$dir/$1.csr" 2>/dev/null
    openssl x509 -req -in "$dir/$1.csr" -CA "$dir/$3.pem" -CAkey "$dir/$3.key" -CAcreateserial -days 20 \
      -extfile <(printf '%b' "$4") -out "$dir/$1.pem" 2>/dev/null
  }
  sign sub "/O=Ravelin Demo/CN=Intermediate" root \
    'basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n'
  for name in a b; do
    sign $name "/O=Ravelin Demo/CN=$name.example" sub \
      "basicConstraints=CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:$name.example\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
  done
}
