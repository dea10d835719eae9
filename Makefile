# Two commands do everything on a fresh Debian or Ubuntu: `make demo` and `make test`.

DITMOS = .venv/bin/ditmos
TESTS ?= tests
# Tests with boards wait more than they compute: two workers more than there are cores.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))
PYTEST = .venv/bin/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

.PHONY: help setup demo test test-long test-mutants hardware lint types format sim lock browser firmware docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## install what is missing: packages with apt, Python environment in .venv
	@host/setup.sh

demo: setup ## train, run on the simulated board: make demo [DATA=FILE.npz] [CONFIG=FILE.toml]
	@$(DITMOS) demo $(if $(DATA),--data "$(DATA)") $(if $(CONFIG),--config $(CONFIG))

test: browser firmware ## everything that can be tested here, the simulated board included
	$(PYTEST) -m "not slow and not hardware" $(TESTS)

test-long: browser firmware ## the slow tests and the long runs, build/long/*.json: goes on where it stopped
	.venv/bin/python tests/long/run.py $(RUNS)

test-mutants: setup ## do the tests notice faults made on purpose? tests/mutants, goes on where it stopped
	@failed=0; .venv/bin/python tests/mutants/mutants.py || failed=1; \
	.venv/bin/python tests/mutants/python_mutants.py || failed=1; exit $$failed

hardware: setup ## the tests that need a board: make hardware [PORT=/dev/ttyACM0]
	.venv/bin/pytest -m hardware tests/hardware $(if $(PORT),--port "$(PORT)")

lint: setup ## check style
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: setup ## check types
	.venv/bin/mypy

format: setup ## put Python files in order
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock: ## renew the lock files after a change of pyproject.toml: make lock [UPGRADE=1]
	@.venv/bin/python host/requirements/lock.py $(if $(UPGRADE),--upgrade)
	@.venv/bin/python host/requirements/licences.py

browser: ## what the tests of `ditmos ui` need, where the system has it
	@host/setup.sh browser

firmware: setup ## build MicroPython for this machine and for the simulated board
	@$(DITMOS) firmware build unix
	@$(DITMOS) firmware build sim

sim: setup ## start a simulated board; Ctrl-C stops it
	@[ -f build/firmware/sim/firmware.elf ] || $(DITMOS) firmware build sim
	@$(DITMOS) sim

docs: setup ## build the documentation as a site, build/site; a dead link fails
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build

clean: ## remove all build outputs; .venv stays
	rm -rf build
