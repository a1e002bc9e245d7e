# Every habit of this project; `make help` lists them.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= $(if $(ONCE),0,7700)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

.DEFAULT_GOAL := help
.PHONY: help demo test slow check bench docs web install dev peer format clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: install web ## tell the whole story on real data, then serve on http://127.0.0.1:7700 (ONCE=1 ends instead)
	$(BIN)/twinloop demo --port $(PORT) $(if $(ONCE),--once) $(ARGS)

test: dev web ## the test suite, without what compares with a real MLflow or starts large engines
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

slow: dev web ## the rest of the tests: crashes by the dozen, large engines, and, after make peer, a real MLflow beside ours
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow $(ARGS)

check: dev ## lint, types, layers, sizes and names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_sizes.py
	$(BIN)/python scripts/check_docs.py

bench: dev ## every figure of the docs, as ratios within one run
	$(BIN)/python -m benchmarks $(ARGS)

docs: dev ## write the reference pages from the code and check every link
	$(BIN)/python scripts/write_reference.py
	$(BIN)/python scripts/check_docs.py

format: dev ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/installed ## the virtual environment with Twinloop in it

dev: $(VENV)/developing ## the same with what development needs

peer: .peer/installed ## a real MLflow server in an environment of its own, for comparison

web: src/twinloop/server/static/index.html ## build the console

clean: ## remove what the other targets made
	rm -rf $(VENV) .peer web/node_modules src/twinloop/server/static

$(VENV)/installed: requirements/run.txt requirements/build.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Twinloop needs Python 3.11 or newer. Name one with: make PYTHON=/path/to/python3"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/run.txt -r requirements/build.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/developing: $(VENV)/installed requirements/dev.txt
	$(PIP) -r requirements/dev.txt
	@touch $@

.peer/installed: requirements/peer.txt
	test -x .peer/bin/python || $(PYTHON) -m venv .peer
	.peer/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/peer.txt
	@touch $@

src/twinloop/server/static/index.html: $(VENV)/installed $(shell find web/src web/public -type f 2>/dev/null) web/index.html web/package-lock.json web/vite.config.ts
	@PYTHON=$(CURDIR)/$(BIN)/python sh web/build.sh node 2>/dev/null || $(PIP) -r requirements/node.txt
	PYTHON=$(CURDIR)/$(BIN)/python sh web/build.sh
	@touch $@
