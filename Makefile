# authscale: see `make help` (the default), README.md and docs/.
PYTHON ?= python3
PY := .venv/bin/python
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Every knob of an experiment: NAME=value on the command line (or in the environment) becomes --name value.
AXES := EXPERIMENT SCHEMES STORES REPLICAS POLICIES SCENARIO LOAD RATE USERS DURATION WARMUP BLOCKS SEED THREADS \
        ACCOUNTS HASH_COST RESULTS
bench_options := $(foreach axis,$(AXES),$(if $($(axis)),--$(subst _,-,$(shell echo $(axis) | tr A-Z a-z)) '$($(axis))'))

.PHONY: help bench report up down test lint notebooks clean compose-bench

help: ## list the targets
	@echo "authscale: what sessions and tokens cost when one server becomes many"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22
	@echo
	@echo "  vary a benchmark, for example:"
	@echo "  make bench SCHEMES=session,token STORES=redis REPLICAS=1,2,8 RATE=300 BLOCKS=5"

.venv/.installed: requirements.lock pyproject.toml bootstrap.py
	@$(PYTHON) bootstrap.py && touch -c $@

.venv/.installed-dev: requirements-dev.lock pyproject.toml bootstrap.py
	@$(PYTHON) bootstrap.py --dev && touch -c $@ .venv/.installed

