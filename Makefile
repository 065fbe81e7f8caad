# Every target runs in .venv, which the first command creates. Neither root nor a cluster is needed.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
# Tests start hundreds of Python processes. Without cached bytecode each of them, and each test worker, compiles every
# module that it imports; images of Python set this variable. Python takes an empty value as unset.
export PYTHONDONTWRITEBYTECODE :=
UV := $(shell sed -n '/^name = "uv"$$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)

.DEFAULT_GOAL := help
.PHONY: help demo serve test coverage check format generate picture bench bench-long e2e kind-up kind-down clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-10s %s\n' "$$name" "$$what"; done

$(READY): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "sealgate needs Python 3.11, 3.12 or 3.13 (make PYTHON=/path/to/python)" >&2; exit 1; }
	@echo "setting up .venv with $$($(PYTHON) --version)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV)"
	@$(BIN)/uv sync --quiet --locked --python $(BIN)/python
	@touch $(READY)

demo: $(READY) ## admission on this machine alone: a registry, the webhook, five AdmissionReviews
	@$(BIN)/python examples/demo/demo.py

serve: $(READY) ## the demo's registry and webhook, kept running so that you can send AdmissionReviews
	@$(BIN)/python examples/demo/demo.py --serve

test: $(READY) ## all tests
	@$(BIN)/pytest -n auto --dist worksteal $(TESTS)

coverage: $(READY) ## all tests under coverage, which must reach 95 %, with all examples of property tests (slower; CI does it)
	@$(BIN)/pytest -n auto --dist worksteal --hypothesis-profile full --cov --cov-report= $(TESTS)
	@$(BIN)/coverage report --fail-under 95

check: $(READY) ## format, lint, types, import contracts, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy bench examples/demo/demo.py
	$(BIN)/lint-imports
	$(BIN)/deptry .

generate: $(READY) ## regenerate the CRDs, and the chart's README and values.schema.json
	@$(BIN)/sealgate crd --directory charts/sealgate/crds
	@$(BIN)/sealgate crd --signing --directory charts/sealgate/signing-crds
	@$(BIN)/python scripts/chart_docs.py

picture: $(READY) ## draw the README's picture from what the demo prints
	@$(BIN)/python scripts/draw_demo.py

format: $(READY) ## format the code and fix lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## measure throughput, latency and memory (under 15 minutes; run it on an idle machine)
ifdef BENCH_PYTHON
	@UV_PROJECT_ENVIRONMENT=.venv-bench $(BIN)/uv sync --quiet --locked --python $(BENCH_PYTHON)
	@.venv-bench/bin/python bench/run.py $(BENCH)
else
	@$(BIN)/python bench/run.py $(BENCH)
endif

bench-long: $(READY) ## sign 100,000 tags by a policy, with one interruption (an hour; run it on an idle machine)
	@$(BIN)/python bench/long.py

# The real-cluster tests use the cluster of KUBECONFIG, which nothing else may use. Environment:
#   SEALGATE_E2E_WEBHOOK_IMAGE, SEALGATE_E2E_OPERATOR_IMAGE  localhost/sealgate-webhook:e2e, localhost/sealgate-operator:e2e
#   SEALGATE_E2E_PULL_POLICY                                 Never: the images are on the nodes already
#   SEALGATE_E2E_REGISTRY                                    registry.test:5000, plain HTTP, for nodes, pods and this machine
#   SEALGATE_E2E_CALLERS                                     directory made by examples/client-certificates/make-certificates.sh,
#                                                            whose certificate the API server presents
#   SEALGATE_CLUSTER                                         the tool that runs the cluster, for tests that stop parts of it
e2e: $(READY) ## install on the cluster of KUBECONFIG and run the tests there (.ci/e2e.sh starts a cluster and does all of it)
	@SEALGATE_E2E=1 $(BIN)/pytest -p no:randomly -m e2e -rP --durations=10 tests/e2e tests/api/test_crds_on_a_cluster.py $(E2E)

kind-up: ## a kind cluster with sealgate, a registry and the examples (needs docker, kind, kubectl, helm)
	@scripts/kind-up.sh

kind-down: ## delete that cluster and its registry
	@scripts/kind-down.sh

clean: ## remove the files that make creates
	rm -rf .venv .venv-bench .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
