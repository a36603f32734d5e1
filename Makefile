# Everything a checkout needs lives in .venv; nothing is installed outside it except missing system tools, and those only by root.
# `make help` lists the targets. Versions are pinned in constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
# The benches run what a user would have: an installed package with compiled modules, and nothing else on its path.
BENCH_VENV := .bench/venv
# pip of the host installs into the venv: Debian's python3 has no ensurepip, so `venv` could not put a pip there.
PIP_INSTALL := $(PYTHON) -m pip --quiet --disable-pip-version-check --python $(PY) install --constraint constraints.txt
INPUTS := pyproject.toml constraints.txt

# Compiled modules are a third of a command's start-up time; a machine-wide "write no bytecode" would throw them away.
unexport PYTHONDONTWRITEBYTECODE
# A PYTHONPATH or an open virtual environment of the caller must not decide what is tested.
unexport PYTHONPATH
unexport PYTHONHOME

.PHONY: help demo test check bench docs format compile system-tools clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.runtime compile ## act out the whole story on this machine (KEEP=1 keeps its files)
	$(PY) demo/run.py

test: $(VENV)/.dev compile system-tools ## run all tests
	$(PY) -m pytest -n $(JOBS) --dist worksteal

check: $(VENV)/.dev compile ## format, lint, types, floors and the house rules; under a minute
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -q tests/house

bench: ## measure against plain git and etcd; rewrites docs/benchmarks.md (ARGS="set mset" for some of it)
	@mkdir -p .bench
	@test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv --without-pip $(BENCH_VENV)
	$(PYTHON) -m pip --quiet --disable-pip-version-check --python $(BENCH_VENV)/bin/python install --constraint constraints.txt '.[stargate,bench]'
	$(PYTHON) -m pip --quiet --disable-pip-version-check --python $(BENCH_VENV)/bin/python install --no-deps --force-reinstall .
	@bash tools/bench_tools.sh
	$(BENCH_VENV)/bin/python bench/run.py $(ARGS)

docs: $(VENV)/.dev ## rewrite the generated pages
	$(PY) tools/write_errors_doc.py

format: $(VENV)/.dev ## rewrite the code in the house's format
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

compile: $(PY)
	@$(PY) -m compileall -q src

$(PY):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("git-kv needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.runtime: $(INPUTS) | $(PY)
	$(PIP_INSTALL) --editable '.[stargate]'
	@touch $@

$(VENV)/.dev: $(INPUTS) | $(PY)
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

system-tools:
	@bash tools/system_tools.sh

clean: ## remove what the targets above made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .demo .bench build dist
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
