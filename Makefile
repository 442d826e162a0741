# `make help` lists the targets. Only Python 3.11 or newer is needed: each target sets up what it uses, once.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SET_UP = @command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON); name a Python 3.11 or newer: make PYTHON=/path/to/python3.13 ..." >&2; exit 1; }; \
	$(PYTHON) -m tools.install

WAIT ?= 10
USERS ?= 200
WORKERS ?= auto
DURATION ?= 30s
SEEDS ?= 20
RATE ?= 200
REQUESTS ?= 1000000
IMAGE ?= sync-front
BASE ?= python:3.13-slim
REQUIREMENTS ?= service

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# `exec` leaves one process to receive Ctrl-C; WAIT is the workflow's wait in seconds.
.PHONY: run
run: setup-service ## start the service and a local AWS on port 8080 (PORT=... WAIT=seconds WORKFLOW=file)
	@exec $(BIN)/python -m service local --wait $(WAIT) $(if $(WORKFLOW),--workflow $(WORKFLOW))

.PHONY: test
test: setup-dev ## run every test that needs nothing but the package index, or some (WORKERS=2 ARGS="-k name")
	$(BIN)/python -m pytest --numprocesses $(WORKERS) $(if $(ARGS),$(ARGS),--cov --cov-report=term)

# A missing Terraform, or no provider for it, is a failure; TERRAFORM=optional leaves out, loudly, what needs them.
TERRAFORM ?= required
.PHONY: test-iac
test-iac: setup-iac ## verify the infrastructure: linters, real Terraform, an apply to a stand-in for AWS
	CHECKOV=$(VENV)-iac/bin/checkov TERRAFORM=$(TERRAFORM) $(BIN)/python -m pytest -m "" $(ARGS) tests/iac

.PHONY: test-browser
test-browser: setup-browser ## look at the pages in headless Chromium (Debian's chromium and chromium-driver)
	$(BIN)/python -m pytest tests/browser $(ARGS)

.PHONY: screenshot
screenshot: setup-browser ## take the README's picture of the live view again
	$(BIN)/python -m tests.browser.screenshot

.PHONY: check
check: setup-dev ## format, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

.PHONY: format
format: setup-dev ## format and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: load
load: setup-dev ## locust against a local stack, report in build/ (USERS=200 DURATION=30s WAIT=10)
	$(BIN)/python -m tests.load --users $(USERS) --duration $(DURATION) --wait $(WAIT)

.PHONY: bench
bench: setup-dev ## the service beside bare skeletons: ratios, and a plot in build/bench/ (BENCH=--short)
	$(BIN)/python -m pytest tests/bench/micro.py -q -p no:cacheprovider -o asyncio_debug=false --timeout 300 \
		--benchmark-columns=min,median,ops --benchmark-sort=name --benchmark-max-time=0.5
	$(BIN)/python -m tests.bench $(BENCH)

.PHONY: chaos
chaos: setup-dev ## every fault with many seeds, checked against the record (SEEDS=20 SEED=first ONLY=name)
	$(BIN)/python -W error -m tests.chaos --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) --only "$(ONLY)"

.PHONY: acceptance
acceptance: setup-dev ## a cut link among 5,000 requests, a rolling restart; wants two free cores (RATE=200 ONLY=name)
	$(BIN)/python -W error -m tests.chaos.acceptance --rate $(RATE) --only "$(ONLY)"

.PHONY: soak
soak: setup-dev ## many requests; what the process holds must not grow (REQUESTS=1000000)
	$(BIN)/python -W error -m tests.chaos.soak --requests $(REQUESTS)

.PHONY: image
image: ## build the container image (IMAGE=sync-front BASE=python:3.13-slim REQUIREMENTS=service)
	DOCKER_BUILDKIT=1 docker build --tag $(IMAGE) --build-arg BASE=$(BASE) --build-arg REQUIREMENTS=$(REQUIREMENTS) \
		--build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
		--build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) .

# In CI a machine on which no engine can be installed is no fault of the image.
.PHONY: test-image
test-image: setup-audit ## build the image, run it as ECS does, list and audit what is in it (needs Docker)
	@if docker info >/dev/null 2>&1; then \
		$(MAKE) image && IMAGE=$(IMAGE) $(BIN)/python -m pytest tests/image $(ARGS); \
	else \
		echo "make test-image: there is no Docker engine here, so the image was not tested" >&2; test -n "$$CI"; \
	fi

.PHONY: lock
lock: setup-dev ## pin the newest dependencies again, with hashes, and check that each lock is closed
	$(BIN)/uv pip compile $(LOCK_FLAGS) --output-file requirements/service.txt pyproject.toml
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra otel --constraints requirements/service.txt --output-file requirements/otel.txt pyproject.toml
	$(BIN)/uv pip compile $(LOCK_FLAGS) --group dev --extra otel --constraints requirements/service.txt --output-file requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile $(LOCK_FLAGS) --group iac --output-file requirements/iac.txt
	$(BIN)/uv pip compile $(LOCK_FLAGS) --group audit --constraints requirements/dev.txt --output-file requirements/audit.txt
	$(BIN)/uv pip compile $(LOCK_FLAGS) --group browser --constraints requirements/dev.txt --output-file requirements/browser.txt
	$(BIN)/python -m tools.closed_locks

.PHONY: test-locks
test-locks: setup-dev ## the real package index beside made-up newer releases: exactly what each lock lists is taken
	$(BIN)/python -m pytest -m "" --numprocesses 2 --timeout 600 $(ARGS) tests/locks

# Universal: one file for every platform and Python. No index and no link: a lock holds names, versions and hashes.
LOCK_FLAGS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

.PHONY: clean
clean: ## remove what the targets made
	rm -rf $(VENV) $(VENV)-iac build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Set up once; each time after that, only looked at. See tools/install.py.
.PHONY: setup-service setup-dev setup-audit setup-browser setup-iac
setup-service:
	$(SET_UP) $(VENV) service
setup-dev:
	$(SET_UP) $(VENV) service dev
setup-audit:
	$(SET_UP) $(VENV) service dev audit
setup-browser:
	$(SET_UP) $(VENV) service dev browser
setup-iac: setup-dev
	$(SET_UP) $(VENV)-iac iac
