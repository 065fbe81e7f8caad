# A cluster on this machine, in Docker. What these do is in hack/.
.PHONY: kind-up kind-down

kind-up: ## a kind cluster with sealgate, a registry and the examples (needs docker, kind, kubectl, helm)
	@hack/kind-up.sh

kind-down: ## end that cluster and its registry
	@hack/kind-down.sh
