#!/usr/bin/env bash
# Runs the tests on every other supported Python of this machine. The newest one runs all tests under coverage, with the
# gate of `make coverage`; the others leave out tests that do not depend on the Python version: the chart, tests of
# processes in other languages, and property tests, whose many examples vary the input (Hypothesis marks them itself).
# The default and the newest Python run all of them. Without another Python, coverage is measured on the default one.
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
    make test READY= BIN="$work/$version/bin" \
      TESTS='-q -p no:cacheprovider -m "not real and not hypothesis" --ignore tests/chart'
  fi
done
if [ -z "$covered" ]; then
  make coverage
fi
