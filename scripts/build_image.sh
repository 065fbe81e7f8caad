#!/bin/sh
# The build stage of both images: `build_image.sh dependencies PART`, then `build_image.sh package PART`, in the folder of
# the sources. PART is webhook or operator. Two steps, so that a change of the sources leaves the layer of the dependencies.
# The result is /opt/sealgate. Only wheels that uv.lock names are installed, each with its hash.
set -eu
step=$1
part=$2
target=/opt/sealgate

case $step in
dependencies)
  python3 -m venv /build
  python3 locked_requirements.py uv >uv.txt
  /build/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes -r uv.txt
  /build/bin/uv export -q --frozen --no-emit-project --only-group build >build.txt
  set -- --extra "$part"
  # The webhook's optional shared cache.
  [ "$part" != webhook ] || set -- "$@" --extra shared-cache
  /build/bin/uv export -q --frozen --no-emit-project --no-default-groups "$@" >part.txt
  /build/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes -r build.txt
  python3 -m venv --without-pip "$target"
  /build/bin/pip --python "$target/bin/python" install --no-cache-dir --no-compile --no-deps \
    --only-binary=:all: --require-hashes -r part.txt
  ;;
package)
  /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation -w /build/dist .
  /build/bin/pip --python "$target/bin/python" install --no-cache-dir --no-compile --no-deps /build/dist/*.whl
  for packages in "$target"/lib/python3.*/site-packages; do
    for other in webhook operator; do
      [ "$other" = "$part" ] || rm -rf "$packages/sealgate_$other"
    done
    # Conditions use CEL's standard library only, and the wheels bring sources along that no module needs.
    rm -rf "$packages/cel_expr_python/ext" "$packages/bazel-project"
    # Only the connection of the Kubernetes client is used, not its thousand typed models.
    rm -rf "$packages/kubernetes/aio"
    find "$packages/kubernetes/client/api" "$packages/kubernetes/client/models" -name '*.py' ! -name __init__.py -delete
  done
  find "$target" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
  find "$target" -name '*.pyi' -delete
  "$target/bin/python" -m compileall -q -j 0 "$target/lib"
  chmod -R a+rX,g=u "$target"
  ;;
*)
  echo "unknown step: $step" >&2
  exit 2
  ;;
esac
