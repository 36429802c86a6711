# Two commands matter: `make demo` and `make test`. The rest helps those who change the code.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint format bench bench-transcribe fuzz clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     turn the spoken notes in examples/ into a diary"
	@echo "make test     check style and types, run every test"
	@echo "make lint     style and types only"
	@echo "make format   put the code into its form"
	@echo "make bench    measure the pipeline; tables on screen, JSON in bench-results/"
	@echo "make bench-transcribe   measure transcription against its peers"
	@echo "make clean    remove .venv and what the tools cached"

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "diarynotes needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	@echo "Setting up .venv (about two minutes, once) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . || { echo "The packages could not be installed; pip's words are above."; exit 1; }
	@touch $@

.venv/.developing: .venv/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: .venv/.installed
	@$(BIN)/diarynotes demo

test: lint
	@$(BIN)/pytest --cov --cov-report=term

lint: .venv/.developing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: .venv/.developing
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/.developing
	@$(BIN)/python benchmarks/pipeline.py

bench-transcribe: .venv/.developing
	@$(BIN)/python benchmarks/transcribe.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .coverage*
