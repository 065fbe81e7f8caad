#!/usr/bin/env bash
# Ends what kind-up.sh made: the cluster and the registry with everything in it.
set -euo pipefail

for tool in docker kind; do
  command -v "$tool" >/dev/null || { printf 'kind-down: %s is not installed\n' "$tool" >&2; exit 2; }
done
kind delete cluster --name sealgate
docker rm -f -v sealgate-registry >/dev/null 2>&1 || true
