# The only entry: people and CI type the same words.
SHELL  := /bin/bash
PORT   ?= 3000
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?=
API_CONFIG ?=
ONLY   ?=

.DEFAULT_GOAL := help
.PHONY: help install run forget test check live browser screenshots interop evidence entra tutorial daemon lock bench chaos soak fuzz clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make run PORT=3000            BFF at PORT, API at PORT+1, local authority at PORT+2"
	@echo "  make run CONFIG=bff.toml API_CONFIG=resource_api.toml     your own authorization server"

install: $(VENV)/.run ## build .venv from the hashed lock

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed; '$(PYTHON)' is not. Cure: apt-get install python3, or make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv module is missing. Cure: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The project itself is installed without its dependencies: those come from the lock, hash by hash, and from nowhere else.
define INSTALL
	@echo "installing $(1) into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/.python
	$(call INSTALL,requirements/run.txt)

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/.python
	$(call INSTALL,requirements/dev.txt)
	@touch $(VENV)/.run

run: $(VENV)/.run ## sign in and work: three services on localhost
	@exec $(BIN)/python -m deploy.local.run --port $(PORT) $(if $(CONFIG),--config $(CONFIG)) $(if $(API_CONFIG),--api-config $(API_CONFIG)) $(ARGS)

forget: ## remove what 'make run' keeps for this PORT (people, to-dos, keys)
	@$(PYTHON) deploy/local/forget.py --port $(PORT)

test: $(VENV)/.dev ## every test that needs no other program
	@$(BIN)/python -m pytest -n 3 --ignore=tests/browser --ignore=tests/interop -m "not live" $(ARGS)

check: $(VENV)/.dev ## lint, types, floors, docs against code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/contracts $(ARGS)

# Two at a time where nothing is measured by the clock; everything else alone.
BESIDE := tests/packaging tests/live/test_published_contract.py tests/live/test_acknowledged_todos.py tests/bff/relay \
  tests/bff/session
live: $(VENV)/.dev ## real sockets and processes
	@$(BIN)/python -m pytest -n 2 -m live $(BESIDE) $(ARGS) $(if $(findstring --evidence,$(ARGS)),--evidence live-beside)
	@$(BIN)/python -m pytest --ignore=tests/browser --ignore=tests/interop $(BESIDE:%=--ignore=%) -m live $(ARGS)

browser: ## the whole story in a real Chromium
	@deploy/local/browser.sh $(ARGS)

screenshots: ## take the README's pictures anew
	@deploy/local/browser.sh -k every_page
	@.venv-browser/bin/python deploy/local/screenshots.py

interop: ## authorization servers written by others
	@deploy/local/interop.sh $(ARGS)

bench: $(VENV)/.dev ## measure, side by side with others: ONLY=relay, api or sessions
	@$(BIN)/python -m tests.benchmarks $(ONLY)

chaos: $(VENV)/.dev ## every fault in every mode: races, lost responses, stores, replicas, clocks, keys (docs/chaos.md; ROUNDS=50)
	@deploy/local/chaos.sh $(ARGS)

soak: $(VENV)/.dev ## 200,000 calls with departures: nothing may leak
	@$(BIN)/python -m tests.benchmarks.soak

fuzz: $(VENV)/.dev ## 200,000 broken streams against h11: STREAMS=..., SEED=... (ten minutes)
	@FUZZ_STREAMS=$(or $(STREAMS),200000) FUZZ_SEED=$(or $(SEED),9112) \
	  $(BIN)/python -m pytest -q tests/differential $(ARGS)

evidence: $(VENV)/.dev ## merge build/evidence/*.json and show each requirement's tests
	@$(BIN)/python deploy/local/evidence.py

tutorial: $(VENV)/.run ## one step of docs/tutorial: make tutorial STEP=2, then 3, then 4
	@exec $(BIN)/python -m examples.tutorial $(or $(STEP),2) --port $(PORT) $(if $(CONFIG),--config $(CONFIG)) $(if $(API_CONFIG),--api-config $(API_CONFIG))

entra: $(VENV)-entra/.installed ## prepare your own tenant: ARGS="plan", "apply", "destroy" (docs/tutorial/1-prepare-your-tenant.md)
	@$(VENV)-entra/bin/python -m deploy.entra $(ARGS)

$(VENV)-entra/.installed: requirements/entra.txt
	@$(PYTHON) -m venv $(VENV)-entra
	@$(VENV)-entra/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

daemon: $(VENV)/.run ## call the API as the seeded daemon
	@$(BIN)/python deploy/local/daemon.py --port $(PORT)

lock: ## compile requirements/*.txt anew (needs uv)
	@deploy/local/lock.sh

clean: ## remove what was built
	@rm -rf .venv .venv-* build dist .run .pytest_cache .mypy_cache .ruff_cache .hypothesis
