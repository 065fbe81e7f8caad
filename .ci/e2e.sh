#!/usr/bin/env bash
# Starts a real cluster, builds both images, and runs `make e2e`. SEALGATE_CLUSTER names the tool that starts a whole
# Kubernetes on this machine (root, no Docker); by default it is looked up beside the checkout. Without a tool the tests are
# skipped with a message in capitals; a tool that SEALGATE_CLUSTER names but that does not exist is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
beside=$PWD/../shared/cluster/cluster
if [ -z "${SEALGATE_CLUSTER:-}" ] && [ ! -x "$beside" ]; then
  echo "NOT RUN: the tests on a real cluster. This machine has no tool that starts one (SEALGATE_CLUSTER)." >&2
  exit 0
fi
export SEALGATE_CLUSTER=${SEALGATE_CLUSTER:-$beside}
if [ ! -x "$SEALGATE_CLUSTER" ]; then
  echo "there is no cluster tool at $SEALGATE_CLUSTER; on another cluster use make e2e" >&2
  exit 1
fi
export CI=true
export PATH="${SEALGATE_TOOLS:-$HOME/.cache/sealgate-tools}/bin:$PATH"

missing=()
for pair in busybox:busybox-static skopeo:skopeo htpasswd:apache2-utils openssl:openssl notary-server:notary gpg:gpg \
  redis-server:redis-server jq:jq; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# The API server presents a client certificate to the webhook. It is not required until a test requires it.
temporary=$(mktemp -d)
trap 'jobs -p | xargs -r kill || true; "$SEALGATE_CLUSTER" down; rm -rf "$temporary"' EXIT
export SEALGATE_E2E_CALLERS=$temporary/callers
examples/client-certificates/make-certificates.sh "$SEALGATE_E2E_CALLERS"
for file in admission.yaml kubeconfig.yaml; do
  sed "s#/etc/kubernetes/sealgate#$SEALGATE_E2E_CALLERS#" "examples/client-certificates/$file" >"$SEALGATE_E2E_CALLERS/$file"
done
export CLUSTER_APISERVER_FLAGS="${CLUSTER_APISERVER_FLAGS:-} --admission-control-config-file=$SEALGATE_E2E_CALLERS/admission.yaml"
eval "$("$SEALGATE_CLUSTER" up)"
export KUBECONFIG PATH

# build_images SUITE TAG: builds both images on the Debian base of a suite, at the same time.
build_images() {
  local part builds=()
  "$SEALGATE_CLUSTER" base "$1"
  buildah tag localhost/python:base "localhost/python:$1"
  for part in webhook operator; do
    echo "building the $part image on $1"
    "$SEALGATE_CLUSTER" image "localhost/sealgate-$part:$2" . -f "$part/Dockerfile" \
      --build-arg "PYTHON_IMAGE=localhost/python:$1" &
    builds+=($!)
  done
  for part in "${builds[@]}"; do wait "$part"; done
}

# The images on Python 3.13 are installed. Those on Python 3.11 are only built, while the tests run, and leave the
# processors to them.
build_images trixie e2e
(renice -n 10 "$BASHPID"; build_images bookworm e2e-bookworm) >"$temporary/bookworm.log" 2>&1 &
bookworm=$!

make e2e
wait "$bookworm" || { cat "$temporary/bookworm.log" >&2; exit 1; }
buildah images --format '{{.Name}} {{.Size}}' | grep -E 'python|sealgate' | sort -u
