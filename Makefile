# Everything runs from a fresh clone with git, make and Python 3.11 or newer: `make` alone lists the targets.
PYTHON ?= python3
ARGS ?=
UV_VERSION := 0.13.8

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export UV_PYTHON_DOWNLOADS := never
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

# uv from the PATH, else one of our own.
UV := $(or $(shell command -v uv 2>/dev/null),.local/uv/bin/uv)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-unit test-integration lint format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Run the whole platform here, with a live page; ARGS="--events 200000", ARGS="--help"
	@$(BIN)/python -m local demo $(ARGS)

test: $(READY) ## Run all tests, on a real broker and a real database; ARGS="-k name"
	@$(BIN)/python -m pytest $(ARGS)

test-unit: $(READY) ## Run the tests that need neither broker nor database
	@$(BIN)/python -m pytest tests/unit $(ARGS)

test-integration: $(READY) ## Run the tests on a real broker and a real database
	@$(BIN)/python -m pytest tests/integration $(ARGS)

lint: $(READY) ## Check style, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY) ## Format the code and sort the imports
	@$(BIN)/ruff check --select I --fix .
	@$(BIN)/ruff format .

lock: $(UV) ## Resolve the dependencies anew and write both lock files
	$(UV) pip compile --universal --generate-hashes --upgrade --quiet pyproject.toml -o requirements.lock
	$(UV) pip compile --universal --generate-hashes --upgrade --quiet pyproject.toml --all-extras -c requirements.lock -o requirements-dev.lock

clean: ## Remove all that the other targets made: environment, data, caches
	@if [ -L .local/postgres ]; then rm -rf "$$(readlink .local/postgres)"; fi
	rm -rf $(VENV) .local .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find services local tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): requirements-dev.lock | $(UV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11 or missing: install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@[ -x $(BIN)/python ] || { echo "Making $(VENV), once: Python packages, about 95 MB"; $(UV) venv --quiet --python $(PYTHON) $(VENV); }
	@$(UV) pip install --require-hashes --requirement requirements-dev.lock
	@touch $@

.local/uv/bin/uv:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "error: $(PYTHON) is missing or lacks venv: install it (Debian, Ubuntu: apt install python3-venv), or install uv" >&2; exit 1; }
	@echo "Fetching uv $(UV_VERSION), once: 25 MB"
	@$(PYTHON) -m venv .local/uv
	@.local/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
