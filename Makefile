# Two commands on a fresh machine: `make run` and `make test`. The rest is listed by `make help`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help run test fuzz vm-ready test-vm soak-vm test-browser screenshots bench demo generate clean
help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

run: $(VENV)/.run  ## set up all that is needed and run the daemon on this host
	$(BIN)/kmodmon run $(ARGS)

test: $(VENV)/.test  ## set up all that is needed and run the tests (lint and types are among them)
	$(BIN)/python tests/tools.py
	$(BIN)/python -m pytest $(ARGS)

fuzz: $(VENV)/.test  ## try the property tests on inputs that no run has seen
	$(BIN)/python -m pytest --hypothesis-profile=fuzz -m hypothesis $(ARGS)

vm-ready: $(VENV)/.test  ## build the guests for the tests on real kernels (as root, on Debian)
	$(BIN)/python tests/tools.py
	$(BIN)/python -m tests.vm.build

test-vm: vm-ready  ## run the tests on real kernels under QEMU
	$(BIN)/python -m pytest -m vm tests/vm $(ARGS)

soak-vm: vm-ready  ## the long runs on a real kernel
	$(BIN)/python -m pytest -m soak tests/vm $(ARGS)

test-browser: $(VENV)/.test  ## look at the status page in Debian's Chromium (as root, on Debian)
	$(BIN)/python -m tests.browser.tools
	$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

screenshots: $(VENV)/.test  ## take the pictures of README anew
	$(BIN)/python -m tests.browser.tools
	KMODMON_SCREENSHOTS=1 $(BIN)/python -m pytest -m browser tests/browser -k photographed

generate: $(VENV)/.test  ## write the files that are made from declarations
	$(BIN)/python -m grafana.src.generate

bench: $(VENV)/.test  ## print what kmodmon costs against its peers, as ratios
	$(BIN)/python -m tests.bench

demo: $(VENV)/.test  ## show an alert arrive: a synthetic host, kmodmon, Prometheus and Alertmanager on loopback
	$(BIN)/python -m tests.demo $(ARGS)

clean:           ## remove what the other targets made inside the tree
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache
