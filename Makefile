# What a person types. `make help` lists it.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTO_FILES := $(sort $(shell find protos/ratoon -name '*.proto'))

.PHONY: help up install install-dev protos fmt check format lint types imports buf fresh test soak bench clean

help: ## List what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  %-12s %s\n", $$1, $$2}'

install: $(VENV)/.runtime ## Install what running needs into .venv (hash-pinned)

install-dev: $(VENV)/.dev ## Install what developing and testing need into .venv (hash-pinned)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Ratoon needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.runtime

up: install ## Start the whole system on this machine; Ctrl-C stops it
	@$(BIN)/ratoon up

protos: install-dev ## Generate protos/gen from protos/ratoon
	rm -rf protos/gen && mkdir -p protos/gen
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I protos --python_out=protos/gen --grpc_python_out=protos/gen \
	  --mypy_out=quiet:protos/gen --mypy_grpc_out=quiet,only_async:protos/gen $(PROTO_FILES)
	find protos/gen -type d -exec touch {}/__init__.py \; && rm protos/gen/__init__.py

fmt: install-dev ## Format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/buf format -w protos

check: format lint types imports buf fresh ## Everything that is checked without running the product

format: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/buf format -d --exit-code protos

lint: install-dev
	$(BIN)/ruff check .

types: install-dev
	$(BIN)/mypy

imports: install-dev
	$(BIN)/lint-imports

buf: install-dev
	$(BIN)/buf lint protos
	$(BIN)/buf breaking protos --against protos/released.binpb

fresh: protos
	git diff --exit-code -- protos/gen
	@test -z "$$(git status --porcelain -- protos/gen)" || { git status --short -- protos/gen; exit 1; }

test: install-dev ## Run the tests (installs what they need)
	$(BIN)/python -m tests.prerequisites
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup

soak: install-dev ## Run the long tests in full (hours)
	$(BIN)/python -m tests.prerequisites
	RATOON_SOAK=1 $(BIN)/python -m pytest -q --timeout 7200

bench: install-dev ## Run the benchmarks and print the table
	$(BIN)/python -m bench all

clean: ## Remove what was built; never the state of an installation
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
