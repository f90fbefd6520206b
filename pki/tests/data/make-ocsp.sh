#!/usr/bin/env bash
# Makes the OCSP fixtures with OpenSSL: a CA, a responder it delegates to, a good and a revoked gateway, the request for
# the good one, and responses. They are valid from when they are made, for a hundred years.
set -euo pipefail
cd "$(dirname "$0")/ocsp"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$1.key"; }
issue() { # name, serial, extensions
  key "$1"
  openssl req -new -key "$work/$1.key" -subj "/O=Ravelin Test/CN=$1" -out "$work/$1.csr"
  openssl x509 -req -in "$work/$1.csr" -CA ca.pem -CAkey "$work/ca.key" -set_serial "$2" -days 36500 \
    -extfile <(printf '%b' "$3") -out "$1.pem" 2>/dev/null
}
key ca
openssl req -x509 -new -key "$work/ca.key" -subj "/O=Ravelin Test/CN=OCSP CA" -days 36500 -set_serial 1 \
  -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature -out ca.pem
aia='authorityInfoAccess=OCSP;URI:http://ocsp.example/\n'
issue good 0x1001 "$aia"
issue revoked 0x1002 "$aia"
issue responder 0x1003 'extendedKeyUsage=OCSPSigning\nnoCheck=ignored\n'
printf 'V\t21260101000000Z\t\t1001\tunknown\t/CN=good\n' > "$work/index.txt"
printf 'R\t21260101000000Z\t261101000000Z,keyCompromise\t1002\tunknown\t/CN=revoked\n' >> "$work/index.txt"

respond() { # name, certificate, signer, options
  local name=$1 certificate=$2 signer=$3; shift 3
  openssl ocsp -issuer ca.pem -cert "$certificate.pem" -no_nonce -reqout "$work/$name.req" 2>/dev/null
  local signer_key="$work/$signer.key"
  openssl ocsp -index "$work/index.txt" -CA ca.pem -rsigner "$signer.pem" -rkey "$signer_key" \
    -reqin "$work/$name.req" -respout "$name.response.der" "$@" >/dev/null 2>&1
}
respond good good responder -ndays 36500
respond by-ca good ca -ndays 36500
respond by-key good responder -ndays 36500 -resp_key_id
respond revoked revoked responder -ndays 36500
respond no-next-update good responder
sed -i '/1001/d' "$work/index.txt"
respond unknown good responder -ndays 36500
cp "$work/good.req" good.request.der
