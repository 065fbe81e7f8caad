#!/usr/bin/env bash
# Runs the tests on every other supported Python of this machine. The newest one runs all tests under coverage, with the
# gate of `make coverage`. A Python between the oldest and the newest runs the tests of the layers that talk to the
# interpreter and to libraries (parsing, keys, HTTP, Kubernetes, processes, command line, webhook, operator), without
# processes in other languages and without property tests, whose many examples vary the input (Hypothesis marks them
# itself). Without another Python, coverage is measured on the default one.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ours=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

find_python() { # VERSION: an interpreter of it that really runs (pyenv's shims need not)
  local candidate
  for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
    if "$candidate" -c 'import sys' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

covered=
for version in 3.13 3.12 3.11; do
  [ "$version" != "$ours" ] || continue
  python=$(find_python "$version") || {
    echo "Python $version is not on this machine"
    continue
  }
  UV_PROJECT_ENVIRONMENT=$work/$version .venv/bin/uv sync --quiet --locked --python "$python"
  if [ -z "$covered" ]; then
    covered=$version
    echo "Python $version, with coverage"
    make coverage READY= BIN="$work/$version/bin"
  else
    echo "Python $version"
    make test READY= BIN="$work/$version/bin" TESTS="-p no:cacheprovider -m 'not real and not hypothesis' \
      --ignore tests/chart --ignore tests/attacks --ignore tests/convert --ignore tests/formats --ignore tests/examples"
  fi
done
if [ -z "$covered" ]; then
  make coverage
fi
