# make demo    set everything up, run the main job on real input, show the result
# make test    set everything up, lint, type-check, run all tests
# make lint    ruff and mypy only
# make docs    build the documentation into out/docs, warnings are errors
# make bench   speed and accuracy as ratios against peers, in one run (minutes)
# make zoo     trace, cost and count every model of timm, torchvision, transformers (an hour; goes
#              on where it was stopped)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs bench zoo clean

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[zoo]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[zoo,onnx,hf,fit,search,cluster,app,bench,docs,dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py

test: $(VENV)/installed-dev lint
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed-dev
	$(BIN)/python -m sphinx -W --keep-going -b html docs out/docs
	@echo 'open out/docs/index.html; no network needed'

bench: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python benchmarks/run.py

zoo: $(VENV)/installed-dev
	$(BIN)/python benchmarks/coverage.py
	test -z "$$COSTMODEL_MEASURED" || $(BIN)/python benchmarks/timm_tables.py

clean:
	rm -rf $(VENV) out
