# Every chore of the project. `make demo` and `make test` set up all that they need on a bare Debian 12.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
# Who answers Argo CD in the scenarios of faults; `rival` loses Applications there, which shows that they bite.
PLUGIN ?= tenantry
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Where Debian keeps servers, which not everybody's PATH has.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help demo test test-postgres e2e e2e-whole e2e-build chaos cluster check fmt bench bench-page fuzz guard docs lock clean servers

help: ## List the chores
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/runtime ## Serve ten sample tenants and print the answer that Argo CD would get
	@$(BIN)/tenantry demo

test: servers .venv/dev ## Run all tests against real servers
	$(PYTEST) -n 2 --dist loadgroup

test-postgres: servers .venv/dev ## Run the tests of PostgreSQL on each of its majors from 15 to 18
	@scripts/majors

e2e: servers e2e-build ## Run the scenarios on a real API server and Argo CD's own ApplicationSet controller
	$(PYTEST) -n 2 tests/e2e --plugin $(PLUGIN)

e2e-whole: servers e2e-build ## Let each fault of those scenarios last for a minute
	$(PYTEST) -n 2 tests/e2e/test_faults.py --whole --plugin $(PLUGIN)

chaos: servers e2e-build ## Break everything around two replicas for five minutes, and judge each Application that is deleted
	$(BIN)/python -m tests.chaos --plugin $(PLUGIN)

cluster: servers e2e-build ## Leave that cluster running, with tenantry and the tutorial on it, to try things on
	@$(BIN)/python -m tests.e2e.cluster

e2e-build: .venv/dev ## Build that cluster's programs: ten minutes, once for each version
	@$(BIN)/python -m tests.e2e.build

check: .venv/dev ## Format, lint, types (strict), direction of imports, currency of the reference
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m bench.page --check bench/results/latest.json

fmt: .venv/dev ## Format, and mend what can be mended
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: servers e2e-build ## Measure, side by side with a rival and nginx
	@scripts/need wrk nginx=nginx-light
	$(BIN)/python -m bench

bench-page: servers e2e-build ## Measure, and write the page of the benchmark from it
	@scripts/need wrk nginx=nginx-light
	@mkdir -p build
	$(BIN)/python -m bench -o json >build/bench.json
	mv build/bench.json bench/results/latest.json
	$(BIN)/python -m bench.page bench/results/latest.json

fuzz: .venv/dev ## Send a million generated requests
	$(BIN)/python -m tests.fuzz.million

guard: servers .venv/dev ## Walk 100,000 steps against the guard's invariant, kill it 200 times, race 1,000 times, plant faults into it
	$(BIN)/python -m tests.guard.walk --steps 100000
	$(BIN)/python -m tests.guard.killed --times 200
	$(BIN)/python -m tests.replicas.races --times 1000
	$(BIN)/python -m tests.mutants.guard

docs: .venv/dev ## Write the reference pages from the code
	$(BIN)/python docs/generate.py
	$(BIN)/python -m bench.page bench/results/latest.json

lock: ## Pin all dependencies anew, by hash
	@scripts/lock

clean: ## Remove what was built; the demo's data stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/runtime: requirements/runtime.lock pyproject.toml
	@scripts/environment requirements/runtime.lock
	@touch $@

.venv/dev: requirements/dev.lock pyproject.toml
	@scripts/environment requirements/dev.lock
	@touch .venv/runtime $@

servers:
	@scripts/need initdb=postgresql pgbouncer mariadbd=mariadb-server curl openssl
