# Every task of this project. Works with GNU make 3.81, the one that macOS brings.

# Images of Python often set this. Every process of a test, and every start of the server, would then compile
# all that it imports: a server comes up in 3 seconds of processor time with the compiled files, and in 9 without.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
# Worker processes of the tests: one per processor.
JOBS ?= logical
# Arguments for pytest, for example: make test ARGS="tests/irt -x"
ARGS ?=

# Hashes of the locks are checked at installation, and the installer itself comes out of the lock.
# uv does not read pip's configuration: where only pip knows the way to the packages, pip goes, by the same lock.
sync = $(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python $(1) || \
	{ echo "uv cannot reach the packages; pip tries, as it is configured here" >&2; \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r $(1); }
INSTALL_PROJECT := $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
# The command in the header keeps addresses out of the locks; Python 3.11 is the floor.
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" pyproject.toml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run check test verify bench notebooks run-notebooks lock clean install install-dev

help: ## show this list
	@echo "assess: from an item bank to a decision that can be defended"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  PYTHON=python3.12 make run   takes that Python;   PORT=8001 make run   takes that port"

run: install ## serve the demo on 127.0.0.1:8000 (PORT=)
	@$(BIN)/python -c 'import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1])))' $(PORT) 2>/dev/null || \
		{ echo "port $(PORT) is taken; type: PORT=$$(( $(PORT) + 1 )) make run" >&2; exit 1; }
	$(BIN)/assess serve --demo --port $(PORT)

check: install-dev ## style, types, floors and item banks, without running a test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/assess bank check item_banks

# A worker per processor is parallel enough; BLAS threads on top of that only get in each other's way.
test: install-dev ## all tests and doctests (ARGS="tests/irt -x" for some)
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

# One after the other, so that each shows its bar; what was finished is found again under var/verification.
verify: install-dev ## the long studies: recovery of parameters, accuracy of decisions; may be interrupted
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -s -m verify --timeout 3600 $(ARGS)

bench: install-dev ## measure the speeds that the documents state
	@set -e; for file in benchmarks/*.py; do test -e "$$file" || { echo "no file in benchmarks/"; break; }; \
		echo "== $$file"; $(BIN)/python "$$file"; done
	@echo "== benchmarks/delivery (the whole table: add --full)"; $(BIN)/python benchmarks/delivery

# The text stays in notebooks/, its notebook is written to build/notebooks/ beside it (jupytext.toml pairs them).
notebooks: install-dev ## open JupyterLab with the notebooks
	@mkdir -p build/notebooks
	$(BIN)/jupytext --quiet --sync notebooks/*.py
	$(BIN)/jupyter-lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/build/notebooks $(ARGS)

run-notebooks: install-dev ## run the notebooks; the executed copies go to build/executed
	@mkdir -p build/executed
	@set -e; for file in notebooks/*.py; do test -e "$$file" || { echo "no file in notebooks/"; break; }; \
		name=build/executed/$$(basename "$$file" .py).ipynb; echo "$$file -> $$name"; \
		$(BIN)/jupytext --quiet --to ipynb --output "$$name" "$$file"; \
		$(BIN)/jupyter-execute --inplace "$$name"; done

lock: $(BIN)/uv ## resolve the two locks anew (UPGRADE=1 takes the newest releases)
	$(COMPILE) --all-extras $(if $(UPGRADE),--upgrade) --output-file requirements-dev.lock
	$(COMPILE) --extra build --constraint requirements-dev.lock --output-file requirements.lock
	@if grep -nE '://|^ *--(index|extra-index|find-links)' requirements.lock requirements-dev.lock; then \
		echo "a lock names an address; see above" >&2; exit 1; fi

clean: ## remove the environment, caches and builds (not var/, where the data are)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

# --- the environment -----------------------------------------------------------
# `install` has what the server needs, `install-dev` all extras. A stamp says which lock is in.

install: $(VENV)/installed ## make the environment, with what the server needs
install-dev: $(VENV)/installed-dev ## make the environment, with all extras

$(VENV)/installed: requirements.lock pyproject.toml | $(BIN)/uv
	$(call sync,requirements.lock)
	$(INSTALL_PROJECT)
	@# Compiles what the server imports, or its first start would spend its time on that.
	@$(BIN)/python -c 'import assess.cli.demo, assess.delivery.app'
	@rm -f $(VENV)/installed-dev
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock pyproject.toml | $(BIN)/uv
	$(call sync,requirements-dev.lock)
	$(INSTALL_PROJECT)
	@touch $(VENV)/installed $@

$(BIN)/uv:
	@for candidate in $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3); do \
		if $$candidate -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
		then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		if [ -n "$(PYTHON)" ]; then echo "$(PYTHON) is not a Python 3.11 to 3.13 with venv" >&2; \
		elif [ "$$(uname)" = Darwin ]; then echo "no Python 3.11 to 3.13 found; type: brew install python@3.12" >&2; \
		else echo "no Python 3.11 to 3.13 with venv found; type: sudo apt install python3-venv" >&2; fi; \
		exit 1; \
	fi; \
	echo "making $(VENV) with $$($$found --version)"; \
	$$found -m venv --clear $(VENV)
	@awk '/^uv==/ { on = 1; print; next } on && /^    --hash/ { print; next } { on = 0 }' requirements-dev.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock
