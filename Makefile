# Two commands do everything: `make serve` and `make test`. Both build the virtual environment first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: serve test lint bench lock clean help

help:
	@echo "make serve   run the registry on this machine, with its own Postgres and object store"
	@echo "make test    run the whole test suite, real package clients included"
	@echo "make lint    ruff and mypy"
	@echo "make bench   measure against bare aiohttp, nginx and the peers"
	@echo "make lock    renew the lock files"

serve: $(VENV)/.serve
	@exec $(BIN)/python -m registry serve

test: $(VENV)/.test
	@$(BIN)/python tests/clients/toolbox.py
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test
	@$(BIN)/python tests/clients/toolbox.py
	$(BIN)/python -m tests.bench

# What it takes to run, and besides that what it takes to test; a changed lock renews the environment.
$(VENV)/.serve: deploy/requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements.lock
	@touch $@

$(VENV)/.test: tests/requirements.lock $(VENV)/.serve
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.lock
	@touch $@

# Hashes, but no index and no address: whoever installs uses the index that their pip is set up for.
LOCK := uv pip compile pyproject.toml --python-version 3.11 --universal --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --quiet

lock:
	$(LOCK) --extra embedded -o deploy/requirements.lock
	$(LOCK) --extra embedded --extra dev -c deploy/requirements.lock -o tests/requirements.lock

clean:
	rm -rf $(VENV) .venv-clients tests/clients/node/node_modules tests/clients/.cache .mypy_cache .pytest_cache .ruff_cache
