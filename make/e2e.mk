# The tests on a real cluster: the one of KUBECONFIG, which they have to themselves.
.PHONY: e2e

e2e: $(READY) ## install on the cluster of KUBECONFIG and test everything there (CONTRIBUTING.md)
	@SEALGATE_E2E=1 $(BIN)/pytest -p no:randomly -m e2e --durations=10 tests/e2e tests/policies/test_crds_on_a_cluster.py $(E2E)
