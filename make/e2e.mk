# The tests on a real cluster: the one of KUBECONFIG, which they have to themselves. What they use comes from the
# environment:
#   SEALGATE_E2E_WEBHOOK_IMAGE, SEALGATE_E2E_OPERATOR_IMAGE  localhost/sealgate-webhook:e2e, localhost/sealgate-operator:e2e
#   SEALGATE_E2E_PULL_POLICY                                 Never: the images are on the nodes already
#   SEALGATE_E2E_REGISTRY                                    registry.test:5000, plain HTTP, for nodes, pods and this machine
#   SEALGATE_E2E_CALLERS                                     a folder of examples/client-certificates/make-certificates.sh, whose
#                                                            certificate the API server presents (see .ci/e2e)
#   SEALGATE_CLUSTER                                         the tool that runs the cluster, for tests that end parts of it
# .ci/e2e starts a cluster, builds the images and does all of it.
.PHONY: e2e

e2e: $(READY) ## install on the cluster of KUBECONFIG and test everything there (see make/e2e.mk)
	@SEALGATE_E2E=1 $(BIN)/pytest -p no:randomly -m e2e -rP --durations=10 tests/e2e tests/api/test_crds_on_a_cluster.py $(E2E)
