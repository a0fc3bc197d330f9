# Every target works alone from a fresh clone; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
PYTEST := $(BIN)/python -m pytest

.PHONY: help venv demo test lint check stack-test browser bench chaos generate format lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(STAMP) ## .venv with pinned, hash-checked packages and the built dashboard

# uv installs several times faster than pip and comes from the same pinned list; where it cannot, pip does it.
$(STAMP): constraints.txt pyproject.toml hatch_build.py
	@$(PYTHON) -m venv $(VENV)
	@if command -v npm >/dev/null; then $(PYTHON) hatch_build.py || true; fi & \
	awk '/^uv==/{p=1} p{print} p&&!/\\$$/{exit}' constraints.txt > $(VENV)/uv.txt && \
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt && \
	$(BIN)/uv pip install -q --system-certs --compile-bytecode --python $(BIN)/python --require-hashes --no-deps -r constraints.txt || \
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r constraints.txt && \
	wait && $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: venv ## the whole city on embedded parts; ARGS="--for 60 --headless"
	@$(BIN)/python hatch_build.py
	@$(BIN)/cityops demo $(ARGS)

test: venv ## unit, contract, scenario and integration tests on the embedded broker and database
	@$(PYTEST) $(ARGS)

lint: venv ## formatting, lint, types, layers
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

check: lint ## that, and unit, contract and scenario tests
	@$(PYTEST) -q tests/unit tests/contract tests/scenarios $(ARGS)

stack-test: venv ## the integration tests on real Kafka and real TimescaleDB; nothing may be skipped
	@REQUIRE_STACK=1 CITYOPS_TEST_TIMESCALE=1 $(PYTEST) -q tests/integration $(ARGS)

browser: venv ## the dashboard's own tests, then the whole demo in Chromium
	@$(BIN)/python hatch_build.py --test
	@$(PYTEST) -q tests/browser $(ARGS)

bench: venv ## all benchmarks, or ONLY=name; SECONDS=n each; writes build/bench.json
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(filter command% environment%,$(origin SECONDS)),--seconds $(SECONDS))

chaos: venv ## every part struck under load, then compared with a run without faults; SEED=n FAULTS=n; writes build/chaos.json
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS))

generate: venv ## every generated file anew
	@$(BIN)/cityops generate

format: venv ## format and mend what can be mended
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: ## resolve constraints.txt anew (needs uv)
	@uv pip compile pyproject.toml --extra embedded --extra opcua --extra dev --generate-hashes --no-header --no-annotate \
	  --no-emit-package geopandas --no-emit-package pyogrio --no-emit-package pyproj --no-emit-package pandas \
	  --python-version 3.11 -q -o constraints.txt

clean: ## remove what was built and the demo's folder
	@rm -rf build dist .cityops gateway/static
