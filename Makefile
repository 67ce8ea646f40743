# Everything a person or a pipeline does here. Needs Python >= 3.11, make and git; the rest goes into .venv/.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup setup-controlplane demo test check generate cluster fuzz bench bench-short soak chaos clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 28

setup: $(READY)  ## make .venv/ with everything in it; .venv/bin/holdfast is the command

# Made again when a dependency changes; a file of the product needs no second installation, it is an editable one.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "holdfast needs Python >= 3.11, and $(PYTHON) is $$($(PYTHON) -V 2>&1): try make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu run: apt-get install python3-venv" >&2; exit 1; }
	@echo "==> .venv: the virtual environment"
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'  # the first with --group
	@echo "==> .venv: holdfast and what it and its tests need (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev
	@touch $@
	@echo "==> .venv: ready"

setup-controlplane: setup  ## build the control plane of the tests (minutes, once; kept in ~/.cache/holdfast)
	$(BIN)/python -m tests.controlplane.plane.build

demo: setup  ## one client, its bound token, and thieves who get nowhere
	@$(BIN)/python -m tools.demo

test: setup  ## every test, against a real control plane and cert-manager (built once)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

check: setup  ## format, lint, types, layers, freshness of generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tools.generate --check

generate: setup  ## write crds/, docs/reference/ and manifests/install/ anew from their sources
	$(BIN)/python -m tools.generate

cluster: setup  ## a local control plane with cert-manager and Holdfast, until Ctrl-C; READY_FILE=path for scripts
	@$(BIN)/python -m tests.controlplane.cluster $(if $(READY_FILE),--ready-file '$(READY_FILE)')

fuzz: setup  ## feed the parsers for SECONDS each (default 60), guided by the code they reach
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	$(BIN)/python -m fuzz.run --seconds $(or $(SECONDS),60) $(TARGETS)

bench: setup  ## beside node-oidc-provider and the least this stack can cost; the table goes to benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks --write

bench-short: setup  ## a token against the least it can cost, half a minute: what a pipeline can hold on to
	$(BIN)/python -m benchmarks --short

soak: setup  ## the server at saturation for MINUTES (default 10) while registry, keys and certificates change
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),10)

chaos: setup  ## kill all parts at random for MINUTES (default 10) while clients come and go, then compare; SEED=, CLIENTS=
	$(BIN)/python -m benchmarks.chaos --minutes $(or $(MINUTES),10) --clients $(or $(CLIENTS),500) $(if $(SEED),--seed $(SEED))

clean:  ## remove what the targets above made in this folder (not the built control plane)
	rm -rf .venv .holdfast .fuzz .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
