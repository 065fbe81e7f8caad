#!/usr/bin/env bash
# Creates a CA for this purpose alone, and the client certificate that API servers present to sealgate's webhook:
#   make-certificates.sh FOLDER [DAYS]
# It writes into FOLDER ca.crt (for webhook.clientCA), client.crt and client.key (for every API server), and ca.key. Keep
# ca.key offline: with it, anyone could issue certificates and send reviews. Run it again to issue another client
# certificate of the same CA.
set -euo pipefail
folder=${1:?"usage: make-certificates.sh FOLDER [DAYS]"} days=${2:-365}
umask 077
mkdir -p "$folder"
cd "$folder"

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
config() { printf '[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = %s\n[extensions]\n%s\n' "$1" "$2"; }

if [ ! -e ca.crt ]; then
  new_key ca.key
  config "sealgate webhook callers" $'basicConstraints = critical, CA:TRUE, pathlen:0\nkeyUsage = critical, keyCertSign' >ca.cnf
  openssl req -x509 -new -key ca.key -config ca.cnf -extensions extensions -days 3650 -out ca.crt
fi
new_key client.key
config kube-apiserver $'basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = clientAuth' >client.cnf
openssl req -new -key client.key -config client.cnf -out client.csr
openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" -days "$days" \
  -extfile client.cnf -extensions extensions -out client.crt 2>/dev/null
rm -f ca.cnf client.cnf client.csr
