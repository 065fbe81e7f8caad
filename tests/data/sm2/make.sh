#!/bin/sh
# Makes the recorded SM2 keys and signatures anew. Needs openssl 3.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf 'a message that openssl has signed' >message.txt
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:SM2 -out "$work/key.pem"
openssl pkey -in "$work/key.pem" -pubout -out key.pub
sign() { # file id
    openssl dgst -sm3 -sign "$work/key.pem" -sigopt "distid:$2" -out "$1" message.txt
}
sign usual-id.sig 1234567812345678
sign other-id.sig release@example.org
# Without distid openssl 3.0 signs with an empty id.
openssl dgst -sm3 -sign "$work/key.pem" -out empty-id.sig message.txt
