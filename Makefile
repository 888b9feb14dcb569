# Everyday commands; `make` lists them.
PYTHON ?= python3
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help env demo test test-all test-oldest lint format benchmark clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)
	@echo "PYTHON=python3.11 names the interpreter (3.10 to 3.12)."

env: ## make or repair .venv
	@$(PYTHON) tools/setup_env.py

demo: env ## train the mini Mask R-CNN with SW and report its ratios
	@$(RUN) tools/demo.py

test: lint ## set up, lint and run the everyday tests
	$(RUN) -m pytest

test-all: lint ## the same with the slow tests
	$(RUN) -m pytest -m ''

test-oldest: ## run the layer tests with the oldest torch, in .venv-oldest
	@$(PYTHON) tools/setup_env.py oldest
	.venv-oldest/bin/python -m pytest tests/ops tests/norms

lint: env ## check the style
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) tools/dev/config_tables.py --check

format: env ## put the style right
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

benchmark: env ## time and memory of the layers against BatchNorm
	$(RUN) tools/benchmark.py

clean: ## remove caches and builds; environments and results stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find whiten_plugins configs tools tests -name __pycache__ -prune \
		-exec rm -rf {} +
