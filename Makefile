# `make help` lists the targets. They need only Python 3.11 or newer: each sets up its own environment, once.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SET_UP = @command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found; name a Python 3.11 or newer: make PYTHON=/path/to/python3.13 ..." >&2; exit 1; }; \
	$(PYTHON) -m tools.install

WAIT ?= 10
USERS ?= 200
WORKERS ?= auto
DURATION ?= 30s
SEEDS ?= 20
RATE ?= 200
REQUESTS ?= 1000000
COUNT ?= 300
IMAGE ?= sync-front
BASE ?= python:3.13-slim
TARGET ?= local
REQUIREMENTS ?= service

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# `exec` leaves one process to receive Ctrl-C; WAIT is the workflow's wait in seconds.
.PHONY: run
run: setup-service ## start the service with a local AWS on port 8080 (PORT=... WAIT=seconds WORKFLOW=file MOCKS=file SET="A=1 B=2")
	@exec $(BIN)/python -m service local --wait $(WAIT)$(foreach value,$(SET), --set '$(value)')$(if $(MOCKS), --mocks "$(MOCKS)")$(if $(WORKFLOW), --workflow "$(WORKFLOW)")

.PHONY: test
test: setup-dev ## run all tests that need only the package index, or some (WORKERS=2 ARGS="-k name")
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

.PHONY: coverage
coverage: setup-dev ## run the same tests and report which lines they execute (slow before Python 3.12)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal --cov --cov-report=term $(ARGS)

# Without Terraform, its AWS provider or Node.js this fails; TERRAFORM=optional skips what needs them and says so.
TERRAFORM ?= required
.PHONY: test-iac
test-iac: setup-iac ## test the infrastructure: linters, Terraform, an apply against a stand-in for AWS
	@mkdir -p build; export CHECKOV=$(VENV)-iac/bin/checkov TERRAFORM=$(TERRAFORM); \
	echo "the tests of the applied system run beside the others; their output follows at the end"; \
	$(BIN)/python -m pytest -m "" $(ARGS) tests/iac/applied >build/test-iac-applied.log 2>&1 & applied=$$!; \
	trap "kill $$applied 2>/dev/null" EXIT; \
	$(BIN)/python -m pytest -m "" $(ARGS) tests/iac --ignore tests/iac/applied; others=$$?; \
	wait $$applied; applied=$$?; cat build/test-iac-applied.log; exit $$((others + applied))

.PHONY: test-waits
test-waits: setup-dev ## wait minutes for workflows, scaled down to one, through a stand-in for API Gateway
	$(BIN)/python -m pytest -m waits $(ARGS) tests/waits

.PHONY: smoke
smoke: setup-dev ## let requests to a deployment wait for minutes (API=https://.../dev ARGS="--header 'x-api-key: ...'")
	@test -n "$(API)" || { echo "make smoke: set API to the URL before /event" >&2; exit 2; }
	$(BIN)/python -m tools.smoke "$(API)" $(ARGS)

.PHONY: test-browser
test-browser: setup-browser ## test the pages in headless Chromium (Debian's chromium and chromium-driver)
	$(BIN)/python -m pytest tests/browser $(ARGS)

.PHONY: test-metrics
test-metrics: setup-dev ## have Prometheus scrape the service under load (Debian's package prometheus)
	$(BIN)/python -m pytest -m "" tests/prometheus $(ARGS)

.PHONY: test-openapi
test-openapi: setup-dev ## lint /openapi.json with Spectral and Redocly (Node.js)
	$(BIN)/python -m pytest -m "" tests/openapi $(ARGS)

.PHONY: screenshot
screenshot: setup-browser ## take the README's picture of the live view
	$(BIN)/python -m tests.browser.screenshot

.PHONY: check
check: setup-dev ## check format, lint, types, imports and the CI workflow
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --no-progress --persona pedantic --quiet .github/workflows

.PHONY: format
format: setup-dev ## format the code and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# HOST counts only on the command line: some shells have it in their environment, as the name of the machine.
.PHONY: load
load: setup-dev ## load test with locust, report in build/ (USERS=200 DURATION=30s WAIT=10; HOST=https://... BODY=@event.json)
	$(BIN)/python -m tests.load --users $(USERS) --duration $(DURATION) --wait $(WAIT) \
		$(if $(filter command,$(firstword $(origin HOST))),--host $(HOST)) $(if $(BODY),--body "$$BODY")

.PHONY: bench
bench: setup-dev ## compare the service with bare skeletons, plot in build/bench/ (BENCH=--short AGAINST=revision)
	$(BIN)/python -m pytest tests/bench/micro.py -q -p no:cacheprovider -o asyncio_debug=false --timeout 300 \
		--benchmark-columns=min,median,ops --benchmark-sort=name --benchmark-max-time=0.5
	$(BIN)/python -m tests.bench $(BENCH) $(if $(AGAINST),--against $(AGAINST))

.PHONY: chaos
chaos: setup-dev ## inject each fault with many seeds, check every response (SEEDS=20 SEED=first ONLY=name)
	$(BIN)/python -W error -m tests.chaos --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) --only "$(ONLY)"

.PHONY: acceptance
acceptance: setup-dev ## a lost link with 5,000 requests, guesses, a rolling restart; needs two idle cores (RATE=200 ONLY=name)
	$(BIN)/python -W error -m tests.chaos.acceptance --rate $(RATE) --only "$(ONLY)"

.PHONY: soak
soak: setup-dev ## send many requests; memory must not grow (REQUESTS=1000000)
	$(BIN)/python -W error -m tests.chaos.soak --requests $(REQUESTS)

# `ONLY` is a mutant's name, or the beginning of names, such as a path; ARGS may be --resume, --record or --list.
.PHONY: mutants
mutants: setup-dev ## put faults into the code, one at a time: do the tests notice them? (SEED=1 COUNT=300 ONLY=name)
	$(BIN)/python -m tools.mutants --seed $(or $(SEED),1) --count $(COUNT) --only "$(ONLY)" \
		--workers $(patsubst auto,2,$(WORKERS)) $(ARGS)

.PHONY: image
image: ## build the container image; TARGET=serve for production (IMAGE=sync-front BASE=python:3.13-slim REQUIREMENTS=service)
	DOCKER_BUILDKIT=1 docker build --tag $(IMAGE) --target $(TARGET) \
		--build-arg BASE=$(BASE) --build-arg REQUIREMENTS=$(REQUIREMENTS) \
		--build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' service/__init__.py) \
		--build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) .

# In CI, a machine that cannot have a Docker engine does not fail this target.
.PHONY: test-image
test-image: setup-audit ## build both images, run them as ECS does, audit what is in them (needs Docker)
	@if docker info >/dev/null 2>&1; then \
		$(MAKE) image TARGET=local && $(MAKE) image TARGET=serve IMAGE=$(IMAGE):serve && \
		IMAGE=$(IMAGE) $(BIN)/python -m pytest tests/image $(ARGS); \
	else \
		echo "make test-image: no Docker engine was found, so the image was not tested" >&2; test -n "$$CI"; \
	fi

COMPILE = $(BIN)/uv pip compile $(LOCK_FLAGS)
.PHONY: lock
lock: setup-dev ## pin the newest dependencies, with hashes, and check that each lock is closed
	$(COMPILE) --extra local --output-file requirements/local.txt pyproject.toml
	$(COMPILE) --constraints requirements/local.txt --output-file requirements/service.txt pyproject.toml
	$(COMPILE) --extra otel --constraints requirements/local.txt --output-file requirements/otel.txt pyproject.toml
	$(COMPILE) --extra otel --extra local --group dev --constraints requirements/local.txt --output-file requirements/dev.txt pyproject.toml
	$(COMPILE) --group iac --output-file requirements/iac.txt
	$(COMPILE) --group audit --constraints requirements/dev.txt --output-file requirements/audit.txt
	$(COMPILE) --group browser --constraints requirements/dev.txt --output-file requirements/browser.txt
	$(BIN)/python -m tools.closed_locks

.PHONY: test-locks
test-locks: setup-dev ## check against the package index that newer releases do not change what is installed
	$(BIN)/python -m pytest -m "" --numprocesses 2 --timeout 600 $(ARGS) tests/locks

# One file for every platform and Python. A lock holds names, versions and hashes, but no index and no link.
LOCK_FLAGS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

.PHONY: clean
clean: ## remove everything that the targets created
	rm -rf $(VENV) $(VENV)-iac build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis

# Each environment is installed once; later runs only check it. See tools/install.py.
.PHONY: setup-service setup-dev setup-audit setup-browser setup-iac
setup-service:
	$(SET_UP) $(VENV) local
setup-dev:
	$(SET_UP) $(VENV) local dev
setup-audit:
	$(SET_UP) $(VENV) local dev audit
setup-browser:
	$(SET_UP) $(VENV) local dev browser
setup-iac: setup-dev
	$(SET_UP) $(VENV)-iac iac
