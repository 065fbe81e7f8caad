#!/usr/bin/env bash
# From nothing to a kind cluster with sealgate installed: a registry, both images, the chart, the examples.
# Needs docker, kind, kubectl and helm. May be run again; what is there already is kept.
set -euo pipefail
cd "$(dirname "$0")/.."

cluster=sealgate
namespace=sealgate-system
registry=sealgate-registry  # the container; also the registry's name for pods and nodes
port=${KIND_REGISTRY_PORT:-5001}  # on this machine
registry_image=${KIND_REGISTRY_IMAGE:-docker.io/library/registry:2}
# Not "latest": an image that was built anew is another one, and pods change over to it.
tag=dev-$(git rev-parse --short HEAD 2>/dev/null || echo none)-$(date +%s)

say() { printf 'kind-up: %s\n' "$*" >&2; }

for tool in docker kind kubectl helm; do
  command -v "$tool" >/dev/null || { say "$tool is not installed"; exit 2; }
done
docker info >/dev/null 2>&1 || { say "docker does not answer; is it running, and may you use it?"; exit 2; }

if [ "$(docker inspect -f '{{.State.Running}}' "$registry" 2>/dev/null || true)" != true ]; then
  say "starting a registry at localhost:$port"
  docker rm -f "$registry" >/dev/null 2>&1 || true
  docker run -d --restart=always -p "127.0.0.1:$port:5000" --name "$registry" "$registry_image" >/dev/null
fi

if ! kind get clusters 2>/dev/null | grep -qx "$cluster"; then
  say "making the cluster"
  kind create cluster --name "$cluster" --config kind-config.yaml --wait 3m
fi
kubectl config use-context "kind-$cluster" >/dev/null

# The registry is on the cluster's network, and nodes reach it there under both of its names, without TLS.
if ! docker network inspect kind -f '{{range .Containers}}{{.Name}} {{end}}' | grep -qw "$registry"; then
  docker network connect kind "$registry"
fi
for node in $(kind get nodes --name "$cluster"); do
  for name in "localhost:$port" "$registry:5000"; do
    docker exec "$node" mkdir -p "/etc/containerd/certs.d/$name"
    printf '[host."http://%s:5000"]\n  capabilities = ["pull", "resolve"]\n' "$registry" |
      docker exec -i "$node" cp /dev/stdin "/etc/containerd/certs.d/$name/hosts.toml"
  done
done

# Lets tools discover the registry (KEP-1755).
kubectl apply -f - >/dev/null <<CONFIG
apiVersion: v1
kind: ConfigMap
metadata: {name: local-registry-hosting, namespace: kube-public}
data:
  localRegistryHosting.v1: |
    host: "localhost:$port"
    hostFromContainerRuntime: "$registry:5000"
    hostFromClusterNetwork: "$registry:5000"
CONFIG

for part in webhook operator; do
  say "building the $part image"
  docker build -q -f "$part/Dockerfile" -t "localhost:$port/sealgate-$part:$tag" . >/dev/null
  docker push -q "localhost:$port/sealgate-$part:$tag" >/dev/null
done

say "installing the chart"
# helm upgrade does not change CRDs. The field manager is helm, so that helm install finds no conflicting owner.
kubectl apply --server-side --field-manager=helm --force-conflicts -f charts/sealgate/crds >/dev/null
helm upgrade --install sealgate charts/sealgate --namespace "$namespace" --create-namespace --wait --timeout 5m \
  --set "webhook.image.repository=localhost:$port/sealgate-webhook,webhook.image.tag=$tag" \
  --set "operator.image.repository=localhost:$port/sealgate-operator,operator.image.tag=$tag" \
  --set "registries.insecure={$registry:5000}" >/dev/null
helm test sealgate --namespace "$namespace" >/dev/null

if [ -d examples ]; then
  say "applying the examples"
  find examples -name '*.yaml' -print0 | sort -z | while IFS= read -r -d '' file; do
    # Only objects of the cluster: authenticators, policies, and the Secrets and Namespaces beside them.
    if grep -qE '^kind: (Authenticator|VerificationPolicy|Secret|Namespace)$' "$file"; then
      kubectl apply --namespace "$namespace" -f "$file"
    fi
  done
fi

kubectl get authenticators,verificationpolicies
cat >&2 <<NOTES

kind-up: sealgate runs in namespace $namespace of cluster kind-$cluster.
  push images to   localhost:$port/NAME:TAG
  name them in pods (and sign them) as   $registry:5000/NAME:TAG
  list policies with   kubectl get vpol,authn
  end it all with   make kind-down
NOTES
