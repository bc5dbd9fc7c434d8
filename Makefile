# make demo: install, simulate nights, train, evaluate. make test: lint and tests.
# Both make their own virtual environment in .venv and need nothing but Python 3.11 to 3.13.
PYTHON ?= python3
BIN := .venv/bin
DEMO := data.nights.nights=18 data.nights.hours=5 data.nights.scorers=5

.PHONY: demo test slow-test lint format clean

demo: .venv/installed
	rm -rf runs/demo runs/demo-evaluation
	$(BIN)/python -m sleep_lab.preparation $(DEMO)
	$(BIN)/python train.py experiment=demo hydra.run.dir=runs/demo
	$(BIN)/python evaluate.py model=runs/demo hydra.run.dir=runs/demo-evaluation

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

slow-test: .venv/installed
	$(BIN)/python -m pytest -m slow

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# torch first and pinned, so that no dependency asks for another one
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(shell grep '^torch==' constraints.txt)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist runs multirun prepared *.egg-info
