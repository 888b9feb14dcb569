# Everyday commands; `make` lists them. PYTHON names the interpreter of the
# environments, as in `make test PYTHON=python3.12`.
PYTHON ?= python3
# Beside other work on the machine, threads that spin while they wait slow
# every layer down by tens of times; sleeping costs nothing measurable.
export OMP_WAIT_POLICY ?= PASSIVE

LANE = $(PYTHON) tools/dev/lane.py
RUN := .venv/bin/python
SPHINX = $(RUN) -m sphinx -W --keep-going -q -b html docs docs/_build
UV = $(or $(wildcard .uv/bin/uv),uv)
# What uv has locked, for pip, which knows no lock.
define PIP_HEADER
# The default lane (README.md), written by `make lock` from uv.lock. mmcv is
# compiled against the torch that is there, hence two commands; --no-deps
# keeps out the OpenCV that needs libGL.
#   pip install "setuptools<82" wheel ninja psutil "torch==$(TORCH)"
#   PYTHONPATH=tools/dev/mmcv_build pip install --no-build-isolation --no-deps -r requirements.txt
endef
export PIP_HEADER
TORCH = $(shell sed -n '/^default = \[/,/^\]/s/^ *"torch==\(.*\)",.*/\1/p' \
	pyproject.toml)
EXPORT = { echo "$$PIP_HEADER"; $(UV) export --quiet --frozen --no-header \
	--only-group default --no-emit-project --no-hashes --no-annotate; }

# Of what runs here, the newest.
NEWEST = $(shell for minor in 15 14 13 12 11; do \
	for python in python3.$$minor ~/.pyenv/versions/3.$$minor.*/bin/python; \
	do $$python -c '' 2>/dev/null && echo $$python && exit; done; done)

.DEFAULT_GOAL := help
.PHONY: help python env demo demo-digits demo-quick test test-all test-onedl test-oldest \
	test-newest test-reliability test-sanitizers test-gpu lint docs format lock benchmark \
	clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)
	@echo "PYTHON=python3.12 names the interpreter (3.10 to 3.13)."

python:
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON) here:" \
		"install CPython 3.10 to 3.13, or name one, PYTHON=..." >&2; exit 2; }

env: python ## make or repair .venv
	@$(LANE)

demo demo-digits: python
	@$(LANE); status=$$?; if [ $$status = 3 ]; then \
		echo "Without a compiler: make demo-quick"; $(MAKE) demo-quick; \
	elif [ $$status = 0 ]; then \
		$(RUN) tools/demo.py $(if $(filter %-digits,$@),--digits); \
	else exit $$status; fi

demo: ## fine-tune an ImageNet network with SW on nuclei, in 10 minutes
demo-digits: ## train a small one from scratch on digits: no download

demo-quick: python ## a segmentation demo: no compiler needed, in 4 minutes
	@$(LANE) quick
	@.venv-quick/bin/python examples/segment_digits.py

test: lint ## set up, lint and run the everyday tests
	$(RUN) -m pytest

test-all: lint ## the same with the slow tests
	$(RUN) -m pytest -m ''

test-onedl: python ## the everyday tests with OneDL's forks, in .venv-onedl
	@$(LANE) onedl
	.venv-onedl/bin/python -m pytest

test-oldest: python ## the layer tests with the oldest torch, in .venv-oldest
	@$(LANE) oldest
	.venv-oldest/bin/python -m pytest tests/ops tests/norms

test-newest: PYTHON := $(or $(NEWEST),$(PYTHON))
test-newest: python ## those of layers and tools with the newest torch
	@$(LANE) newest
	.venv-newest/bin/python -m pytest tests/ops tests/norms tests/ratios

test-reliability: env ## faults, load and hostile files; draws its page
	$(RUN) -m pytest -m '' tests/reliability --record
	$(RUN) -m tests.reliability.page

test-sanitizers: env ## the C++ kernels under the compiler's sanitizers
	$(RUN) -m pytest -m '' tests/reliability/test_sanitizers.py --record
	$(RUN) -m tests.reliability.page

test-gpu: env ## check the kernels on this GPU, and time the norms there
	$(RUN) tools/gpu_check.py --out benchmarks/results

lint: env ## check the style, and that what is generated is fresh
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy whiten_plugins
	$(SPHINX)
	$(RUN) tools/dev/config_tables.py --check
	@$(UV) lock --check --quiet || { echo "uv.lock is old: make lock" >&2; \
		exit 1; }
	@$(EXPORT) | cmp -s - requirements.txt || { \
		echo "requirements.txt is old: make lock" >&2; exit 1; }

docs: env ## build the documentation site into docs/_build
	$(SPHINX)

format: env ## put the style right
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

lock: ## bring uv.lock and requirements.txt up to pyproject.toml
	$(UV) lock
	@$(EXPORT) > requirements.txt

benchmark: env ## time and memory of the layers, and the page that shows them
	$(RUN) tools/benchmark.py --json benchmarks/results/layers_cpu.json
	$(RUN) -m benchmarks.page

clean: ## remove caches and builds; environments and results stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache \
		.hypothesis
	find whiten_plugins configs tools tests examples -name __pycache__ \
		-prune -exec rm -rf {} +
