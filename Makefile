# Two commands on a fresh machine: `make run` and `make test`. The rest is listed by `make help`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

PYTEST := $(BIN)/python -m pytest
# Two tests at a time, because many of them wait.
MANY   := -n 2 --dist worksteal

.PHONY: help run check test test-chain test-floor fuzz mutants vm-ready test-vm soak-vm soak-kill soak-fleet test-browser \
	screenshots bench demo lock sbom generate clean
help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

LOCK   := packaging/requirements
# What is installed is what the lock files name, byte for byte; the build backend too, so nothing is built in isolation.
HASHED := install --quiet --require-hashes
OWN    := install --quiet --no-deps --no-build-isolation --editable .

$(VENV)/.run: pyproject.toml $(LOCK).txt $(LOCK)-build.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(HASHED) --requirement $(LOCK).txt --requirement $(LOCK)-build.txt
	$(PIP) $(OWN)
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.run $(LOCK)-dev.txt
	$(PIP) $(HASHED) --requirement $(LOCK)-dev.txt
	touch $@

run: $(VENV)/.run  ## set up all that is needed and run the daemon on this host
	$(BIN)/kmodmon run $(ARGS)

check: $(VENV)/.test  ## lint, types and every test that needs neither a process nor a socket: within a minute
	$(BIN)/ruff check kmodmon tests grafana/src
	$(BIN)/ruff format --check kmodmon tests grafana/src
	$(BIN)/mypy
	$(PYTEST) $(MANY) -m 'not process and not soak' $(ARGS)

test: $(VENV)/.test  ## set up all that is needed and run the tests on this host (lint and types are among them)
	$(BIN)/python tests/tools.py
	$(PYTEST) $(MANY) $(ARGS)

test-chain: $(VENV)/.test  ## run the tests with a real Prometheus and Alertmanager
	$(BIN)/python tests/tools.py
	$(PYTEST) -m 'chain and not vm and not soak' $(ARGS)

fuzz: $(VENV)/.test  ## look for inputs that no run has seen and that break something (BUDGET=1200 TARGET=modfile_elf)
	$(if $(TARGET),,$(PYTEST) --hypothesis-profile=fuzz -m hypothesis)
	-$(PIP) $(HASHED) --only-binary :all: --requirement $(LOCK)-fuzz.txt
	nice $(BIN)/python -m tests.fuzz --budget $(or $(BUDGET),1200) $(if $(TARGET),--target $(TARGET)) $(ARGS)

mutants: $(VENV)/.test  ## change the product a little at a time and see whether its tests notice (ROOM=lifecycle BUDGET=600)
	$(BIN)/python -m tests.mutants $(if $(ROOM),--room $(ROOM)) $(if $(BUDGET),--budget $(BUDGET)) $(ARGS)

vm-ready: $(VENV)/.test  ## build the guests for the tests on real kernels (as root, on Debian)
	$(BIN)/python tests/tools.py
	$(BIN)/python -m tests.vm.build

test-vm: vm-ready  ## run the tests on real kernels under QEMU
	$(PYTEST) -m vm tests/vm $(ARGS)

soak-vm: vm-ready  ## the long runs on a real kernel
	$(PYTEST) -m soak tests/vm $(ARGS)

soak-kill: $(VENV)/.test  ## kill the daemon at 200 random system calls, and compare what it knows (ten minutes)
	$(PYTEST) -s -m soak tests/runtime/test_killed.py $(ARGS)

soak-fleet: $(VENV)/.test  ## the rules over a thousand hosts in a real Prometheus: how long they take (a quarter of an hour)
	$(BIN)/python tests/tools.py
	$(PYTEST) -s -m soak tests/test_fleet.py $(ARGS)

test-browser: $(VENV)/.test  ## look at the status page in Debian's Chromium (as root, on Debian)
	$(BIN)/python -m tests.browser.tools
	$(PYTEST) -m browser tests/browser $(ARGS)

screenshots: $(VENV)/.test  ## take the pictures of README anew
	$(BIN)/python -m tests.browser.tools
	KMODMON_SCREENSHOTS=1 $(PYTEST) -m browser tests/browser -k photographed

lock: $(VENV)/.test  ## write the lock files anew, with the newest versions that pyproject.toml allows
	$(PIP) $(HASHED) --requirement $(LOCK)-lock.txt
	$(BIN)/python -m tests.supply.lock

sbom: $(VENV)/.test  ## build the wheel and list what it is made of (dist/*.cdx.json, CycloneDX)
	$(BIN)/python -m tests.supply.sbom

test-floor: $(VENV)/.test  ## run the tests of `make check` with the lowest versions that pyproject.toml allows
	$(PIP) $(HASHED) --requirement $(LOCK)-lock.txt
	$(BIN)/python -m tests.supply.floor $(ARGS)

generate: $(VENV)/.test  ## write the files that are made from declarations
	$(BIN)/python -m grafana.src.generate

bench: $(VENV)/.test  ## print what kmodmon costs against its peers, as ratios
	$(BIN)/python -m tests.bench

demo: $(VENV)/.test  ## show an alert arrive: a synthetic host, kmodmon, Prometheus and Alertmanager on loopback
	$(BIN)/python -m tests.demo $(ARGS)

clean:           ## remove what the other targets made inside the tree
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache
