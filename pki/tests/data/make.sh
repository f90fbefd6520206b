#!/bin/sh
# Makes the committed key and certificate files of this directory with OpenSSL 3. The keys are test keys and protect
# nothing. Run it here, look at the difference, commit; nothing runs it during the tests.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C

openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pkcs8.pem
openssl rsa -in rsa.pkcs8.pem -traditional -out rsa.pkcs1.pem
openssl pkey -in rsa.pkcs8.pem -outform DER -out rsa.pkcs8.der
for curve in 256:prime256v1 384:secp384r1 521:secp521r1; do
  bits=${curve%%:*} name=${curve#*:}
  openssl ecparam -name "$name" -genkey -out p$bits.sec1.pem        # with its EC PARAMETERS block
  openssl pkcs8 -topk8 -nocrypt -in p$bits.sec1.pem -out p$bits.pkcs8.pem
done
openssl genpkey -quiet -algorithm ED25519 -out ed25519.pkcs8.pem
openssl genpkey -quiet -algorithm ED448 -out ed448.pkcs8.pem
openssl ecparam -name secp256k1 -genkey -noout -out k256.sec1.pem
openssl pkcs8 -topk8 -in p256.sec1.pem -passout pass:test -out encrypted.pkcs8.pem
openssl rsa -in rsa.pkcs8.pem -traditional -aes128 -passout pass:test -out encrypted.pkcs1.pem

# One self-signed certificate for each way to sign.
self() { out=$1 key=$2; shift 2
  openssl req -x509 -new -key "$key" -subj "/C=DE/O=Ravelin Test/CN=$out" -set_serial 4711 -days 3650 "$@" -out "$out.cert.pem"
}
san="subjectAltName=DNS:gw.example,IP:192.0.2.1,IP:2001:db8::1,email:op@gw.example,URI:https://gw.example/x,dirName:dir,otherName:1.2.3.4;UTF8:other,RID:1.2.3.5"
printf '[dir]\nCN = directory\n[req]\ndistinguished_name = dn\n[dn]\n' > openssl.tmp
self rsa-pkcs1 rsa.pkcs8.pem -sha256
self rsa-pss rsa.pkcs8.pem -sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
self rsa-pss-odd-salt rsa.pkcs8.pem -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20
self rsa-sha1 rsa.pkcs8.pem -sha1
self p256 p256.pkcs8.pem -sha256 -config openssl.tmp -addext "$san" -addext "keyUsage=critical,digitalSignature" \
  -addext "extendedKeyUsage=1.3.6.1.5.5.7.3.17,serverAuth"
self p384 p384.pkcs8.pem -sha384 -addext "certificatePolicies=critical,1.2.3.4,2.5.29.32.0" \
  -addext "nameConstraints=critical,permitted;DNS:example,excluded;IP:10.0.0.0/255.0.0.0" \
  -addext "policyConstraints=requireExplicitPolicy:0,inhibitPolicyMapping:3" -addext "inhibitAnyPolicy=2"
self p521 p521.pkcs8.pem -sha512 -addext "1.2.3.4.5=critical,DER:0500"
self ed25519 ed25519.pkcs8.pem
rm openssl.tmp
