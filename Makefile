# Every target does its own set-up: a .venv and the dependencies, made anew when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The tests start a thousand interpreters: what one of them has compiled, the next ones read.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check bench zoo out-of-tree clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY) ## a service in another process, over ZeroMQ and over kombu, and every way to call it
	$(BIN)/treaty demo

test: $(READY) ## the tests, and the contract suite on every transport that can be reached
	$(BIN)/pytest -n auto

check: $(READY) ## lint, format, types, and the laws about the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy core transports contracts tests
	$(BIN)/pytest tests/laws -q

zoo: $(READY) ## every broken transport, against the exact set of rules that it must fail
	$(BIN)/python -m treaty_contracts.zoo

out-of-tree: ## the wheel in a clean environment, and a stranger's transport beside it
	.ci/out-of-tree

bench: $(READY) ## our calls beside the raw libraries' and a peer's, in one run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m benchmarks

clean: ## remove what the targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(READY)
