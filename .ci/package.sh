#!/usr/bin/env bash
# Builds the sdist and from it the wheel, installs the wheel into an empty environment, and runs it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/uv build --quiet --out-dir "$work"
python=.venv/bin/python
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$(ls "$work"/sealgate-*.whl)[webhook]"
cd "$work"
venv/bin/sealgate --version
venv/bin/python -m sealgate_webhook --help >/dev/null
venv/bin/python -c 'import sealgate, sealgate_webhook, sealgate_operator, operator; assert operator.__file__.endswith("operator.py")'
# Data files are in the wheel too: the trusted root of sigstore's public services.
cat >policy.yaml <<'EOF'
apiVersion: sealgate.dev/v1alpha1
kind: Authenticator
metadata: {name: keyless}
spec:
  cosign:
    keyless: {identities: [{issuer: https://accounts.example.org, subject: jane@example.org}]}
    trustedRoot: {source: PublicGood}
EOF
venv/bin/sealgate policy check policy.yaml
