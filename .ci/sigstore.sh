#!/usr/bin/env bash
# Starts a real sigstore, signs images in every way that the real cosign 3 and 2 offer, and runs the tests of the recorded
# signatures over the new ones. SEALGATE_SIGSTORE names the program that starts a whole sigstore on this machine; by default
# it is looked up beside the checkout. Without it the tests are not run, with a message in capitals; a program that
# SEALGATE_SIGSTORE names but that does not exist is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
beside=$PWD/../shared/sigstore/sigstore
if [ -z "${SEALGATE_SIGSTORE:-}" ] && [ ! -x "$beside" ]; then
  echo "NOT RUN: the tests with a real sigstore. This machine has no program that starts one (SEALGATE_SIGSTORE)." >&2
  exit 0
fi
export SEALGATE_SIGSTORE=${SEALGATE_SIGSTORE:-$beside}
if [ ! -x "$SEALGATE_SIGSTORE" ]; then
  echo "there is no program that starts a sigstore at $SEALGATE_SIGSTORE" >&2
  exit 1
fi
export PATH="${SEALGATE_TOOLS:-$HOME/.cache/sealgate-tools}/bin:$PATH"

"$SEALGATE_SIGSTORE" build # minutes, once for a machine
recorded=$(mktemp -d)
trap 'rm -rf "$recorded"' EXIT
# The services have fixed ports, so there is one sigstore at a time on a machine.
exec 9>"${TMPDIR:-/tmp}/sealgate-sigstore.lock"
flock -w 360 9
timeout --kill-after=60 300 .venv/bin/python -m tests.data.sigstore.generate "$recorded" 9>&-
flock -u 9
SEALGATE_SIGSTORE_FIXTURES=$recorded timeout 300 .venv/bin/python -m pytest -q tests/formats/cosign/test_keyless_recorded.py
