# Two commands for a stranger: `make chat` talks with an agent, `make test` runs the whole suite.
# What they need goes to .venv; it is made at the first call, and again when pyproject.toml has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
# How many tests run at once, and what else pytest is told: make test WORKERS=0 ARGS="-x tests/memory"
WORKERS ?= 2
ARGS ?=

.PHONY: help chat demo test soak bench check lint types fresh generate wheel clean

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

chat: $(VENV)/installed ## Talk with an agent; RLMD_DATA names the data directory
	@$(BIN)/rlmd chat

demo: $(VENV)/installed ## See a program survive kill -9, on a daemon of its own
	@$(BIN)/rlmd demo

test: check ## All checks, then the whole suite
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

# The short forms of these are in `make test`.
soak: $(VENV)/installed-dev ## Kill it 1,000 times and cut 5,000 random programs off; takes hours
	@RLMD_TEST_KILLS=1000 RLMD_TEST_PROGRAMS=5000 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS) \
	  tests/loop/test_property.py tests/faults

bench: $(VENV)/installed-dev ## Measure, in a few minutes; benchmarks/README.md has more
	@$(BIN)/python -m benchmarks.loop --rounds 10
	@$(BIN)/python -m benchmarks.memory --seconds 3
	@$(BIN)/python -m benchmarks.large --megabytes 20
	@$(BIN)/python -m benchmarks.start --variables 10000
	@$(BIN)/python -m benchmarks.parked --runs 1000 --answers 20
	@$(BIN)/python -m benchmarks.schedules --schedules 1000 --seconds 2
	@$(BIN)/python -m benchmarks.channels --channels 200 --seconds 10
	@$(BIN)/python -m benchmarks.hive --rounds 100 --agents 20 --seconds 5 --writers 8
	@$(BIN)/python -m benchmarks.prompt --memories 10 1000 10000
	@$(BIN)/python -m benchmarks.search --passages 10000 --adds 500
	@$(BIN)/python -m benchmarks.budgets --rounds 500

check: lint types fresh ## Format, lint, types and generated code, without the tests

lint: $(VENV)/installed-dev ## Format and lint
	@$(BIN)/ruff format --check --quiet . || { echo 'run: $(BIN)/ruff format .' >&2; exit 1; }
	@$(BIN)/ruff check --quiet .

types: $(VENV)/installed-dev ## Types, strict
	@$(BIN)/mypy

fresh: $(VENV)/installed-dev ## Is the generated code what its sources say?
	@$(BIN)/python scripts/generate.py --check
	@$(BIN)/python scripts/unasync.py --check

generate: $(VENV)/installed-dev ## Make the generated code again
	@$(BIN)/python scripts/generate.py
	@$(BIN)/python scripts/unasync.py

wheel: $(VENV)/installed-dev ## Build dist/*.whl and dist/*.tar.gz
	@$(BIN)/python -m build --outdir dist . >&2

clean: ## Remove what was made here; data directories stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# What pip says goes to stderr: stdout belongs to the agent's replies.
$(VENV)/installed: pyproject.toml | $(VENV)/made
	@echo "installing rlmd into $(VENV), a minute at the first time" >&2
	@$(PIP) install --editable . >&2 </dev/null
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/made
	@echo "installing rlmd and its tools into $(VENV), a minute or two at the first time" >&2
	@$(PIP) install --editable . --group dev >&2 </dev/null
	@touch $@ $(VENV)/installed

# Dependency groups need pip 25.1. A .venv that was cut off half-way has no mark and is made again.
$(VENV)/made:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "There is no $(PYTHON). On Debian or Ubuntu: sudo apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rlmd needs Python 3.11 or later. Name one: make chat PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) >&2 </dev/null
	@$(PIP) install --upgrade 'pip>=25.1' >&2 </dev/null
	@touch $@
