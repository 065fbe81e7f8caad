# Everything runs in .venv, which the first command makes. No root, no cluster, nothing to prepare.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
UV := $(shell sed -n '/^name = "uv"$$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)

.DEFAULT_GOAL := help
.PHONY: help demo serve test check format picture bench clean

help: ## what there is to make
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-10s %s\n' "$$name" "$$what"; done

$(READY): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "sealgate needs Python 3.11, 3.12 or 3.13 (make PYTHON=/path/to/python)" >&2; exit 1; }
	@echo "setting up .venv with $$($(PYTHON) --version)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV)"
	@$(BIN)/uv sync --quiet --locked --python $(BIN)/python
	@touch $(READY)

demo: $(READY) ## the main job, on this machine alone: a registry, the webhook, five reviews
	@$(BIN)/python examples/demo/demo.py

serve: $(READY) ## the demo's registry and webhook, kept up for you to post to
	@$(BIN)/python examples/demo/demo.py --serve

test: $(READY) ## all tests, with the coverage gate
	@$(BIN)/pytest -n auto --dist worksteal --cov --cov-report= $(TESTS)
	@$(BIN)/coverage report --fail-under 95

check: $(READY) ## format, lint, types, import contracts, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy examples/demo/demo.py
	$(BIN)/lint-imports
	$(BIN)/deptry .

picture: $(READY) ## draw the README's picture from what the demo prints
	@$(BIN)/python hack/draw_demo.py

format: $(READY) ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## measure what the README claims (minutes; nothing else should run)
	@$(BIN)/python bench/run.py

clean: ## remove what make has made
	rm -rf .venv .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

include $(wildcard make/*.mk)
