#!/bin/sh
# Makes the recorded timestamps anew: a TSA of openssl, with an RSA key. Needs openssl 3.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf 'a message that openssl has timestamped' >message.txt
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/root.key" -out root.pem -days 3650 -subj "/CN=root" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout "$work/tsa.key" -out "$work/tsa.csr" -subj "/CN=tsa" 2>/dev/null
printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n' >"$work/extensions"
openssl x509 -req -in "$work/tsa.csr" -CA root.pem -CAkey "$work/root.key" -CAcreateserial -CAserial "$work/ca.srl" -days 3650 \
    -extfile "$work/extensions" -out tsa.pem 2>/dev/null
cat >"$work/config" <<EOF
[tsa]
serial = $work/serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:500
ess_cert_id_alg = sha256
[tsa_sha1]
serial = $work/serial
signer_digest = sha512
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
ess_cert_id_alg = sha1
EOF
respond() { # file section digest further-options
    openssl ts -query -data message.txt "-$3" $4 -out "$work/query" 2>/dev/null
    openssl ts -reply -config "$work/config" -section "$2" -queryfile "$work/query" -signer tsa.pem \
        -inkey "$work/tsa.key" -out "$1" 2>/dev/null
}
respond with-certificate.tsr tsa sha256 -cert
respond without-certificate.tsr tsa sha384 ""
respond sha1-certificate-id.tsr tsa_sha1 sha512 -cert
