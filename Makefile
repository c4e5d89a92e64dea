# Every command of the project. `make` alone lists them.
PYTHON ?= python3
TEST_WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= configs/quickstart.yaml
READY := $(VENV)/.ready

# A command-line option for each variable that is set.
OPTIONS = $(if $(DATA),--data "$(DATA)") $(if $(MODEL),--model "$(MODEL)") \
	$(if $(LIMIT),--limit "$(LIMIT)") $(if $(STORE),--store "$(STORE)") \
	$(if $(DTYPE),--dtype "$(DTYPE)")
RUN_OPTIONS = $(OPTIONS) $(if $(OUT),--out "$(OUT)") $(if $(ENGINE),--engine "$(ENGINE)")
BUDGET_OPTION = $(if $(BUDGET),--budget "$(BUDGET)")

.DEFAULT_GOAL := help
.PHONY: help install select score sweep doctor plan report submit test test-all test-gpu lint types \
	format check bench bench-paser chaos quickstart clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
		| awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo "  Variables: CONFIG DATA MODEL BUDGET LIMIT OUT STORE ENGINE DTYPE ADDRESS RUN"
	@echo "  Example:   make select CONFIG=configs/ifd.yaml DATA=my.jsonl MODEL=gpt2 BUDGET=5%"

install: $(READY)  ## Make the environment in .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[dev]'
	@touch $@

select: $(READY)  ## Score, select and export a curated dataset
	@$(BIN)/tamis select $(CONFIG) $(RUN_OPTIONS) $(BUDGET_OPTION)

score: $(READY)  ## Compute the scores of a config, without selecting
	@$(BIN)/tamis score $(CONFIG) $(RUN_OPTIONS)

sweep: $(READY)  ## Compare methods at BUDGET="1% 5%" from one scoring
	@$(BIN)/tamis sweep $(CONFIG) $(RUN_OPTIONS) $(addprefix --budget ,$(BUDGET))

doctor: $(READY)  ## Check the environment, the models and the numbers of every method
	@$(BIN)/tamis doctor $(if $(MODEL),--model "$(MODEL)") $(if $(STORE),--store "$(STORE)") \
		$(if $(OUT),--out "$(OUT)")

plan: $(READY)  ## Show the steps of a config and what is computed already
	@$(BIN)/tamis plan $(CONFIG) $(OPTIONS) $(BUDGET_OPTION)

report: $(READY)  ## Draw the report of a run anew: RUN=runs/quickstart
	@$(BIN)/tamis report $(RUN)

submit: $(READY)  ## Select on a Ray cluster: ADDRESS=http://host:8265
	@$(BIN)/tamis submit $(CONFIG) $(if $(ADDRESS),--address "$(ADDRESS)") $(RUN_OPTIONS) $(BUDGET_OPTION)

test: $(READY)  ## Run the tests that CI runs
	$(BIN)/pytest -n $(TEST_WORKERS) --dist worksteal -m "not slow and not compat and not chaos and not browser and not shared and not gpu"

test-all: $(READY)  ## Run every test that this machine can
	$(BIN)/pytest -m "not gpu"

test-gpu: $(READY)  ## Run the tests of the kernels on a GPU
	$(BIN)/pytest -m gpu
	$(BIN)/pytest tests/kernels -m "not gpu and not compat"  # compiled, where there is a GPU

lint: $(READY)  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## Check types
	@mkdir -p .types && ln -sfn .. .types/tamis
	MYPYPATH=.types $(BIN)/mypy -p tamis
	cd configs/quickstart && ../../$(BIN)/mypy --config-file ../../pyproject.toml .

format: $(READY)  ## Put the style right where that is automatic
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types test  ## What CI runs: style, types, tests

bench: $(READY)  ## Run the benchmarks and write benchmarks/results/
	$(BIN)/python benchmarks/forward.py
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/divergence.py
	$(BIN)/python benchmarks/projection.py
	$(BIN)/python benchmarks/gradients.py
	$(BIN)/python benchmarks/influence.py
	$(BIN)/python benchmarks/filters.py

bench-paser: $(READY)  ## Prune, choose, fine-tune, compare (hours on a processor)
	$(BIN)/python benchmarks/paser.py $(if $(DATA),--data "$(DATA)") $(if $(MODEL),--model "$(MODEL)")

chaos: $(READY)  ## Kill runs at 20 random moments of each engine, and compare the bytes
	$(BIN)/python benchmarks/chaos.py

quickstart: $(READY)  ## Make the embedded pool and model anew (half an hour)
	$(BIN)/python configs/quickstart/make_pool.py
	$(BIN)/python configs/quickstart/make_rated.py
	$(BIN)/python configs/quickstart/make_model.py

clean:  ## Remove the environment and caches, not runs and stores
	rm -rf $(VENV) .types .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
