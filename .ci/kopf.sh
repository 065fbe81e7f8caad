#!/usr/bin/env bash
# Tests the Kopf adapter with the oldest and the newest Kopf that pyproject.toml allows; make test has the one of uv.lock.
# The adapter needs three types that Kopf does not export, so a release of Kopf may break it. For the same reason this is
# no part of .ci/run: a release of Kopf must not decide whether a change lands.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
oldest=$(sed -n 's/^ *"kopf>=\(.*\)",$/\1/p' pyproject.toml)
UV_PROJECT_ENVIRONMENT=$work/venv .venv/bin/uv sync --quiet --locked --python .venv/bin/python
for wanted in "kopf==$oldest" "kopf>=$oldest"; do
  .venv/bin/uv pip install --quiet --python "$work/venv/bin/python" --upgrade-package kopf "$wanted"
  echo "Kopf $("$work/venv/bin/python" -c 'import importlib.metadata as m; print(m.version("kopf"))')"
  "$work/venv/bin/pytest" -q -p no:cacheprovider tests/operator/controller/test_kopf_adapter.py
done
