# Two commands matter: `make demo` and `make test`. The rest helps those who change the code.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo up test chaos kill-points lint format llama bench bench-transcribe bench-writing bench-growth lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     turn the spoken notes in examples/ into a diary"
	@echo "make up       keep everything running: drop a recording into the folder, and its note is there"
	@echo "make test     check style and types, run every test"
	@echo "make chaos    the test that kills, freezes and stops everything, with two more seeds: twice about four minutes"
	@echo "make kill-points   kill a run before and after each commit and call, one at a time, and run it again"
	@echo "make lint     style and types only"
	@echo "make format   put the code into its form"
	@echo "make llama    compile llama.cpp, to run a model in process and its tests"
	@echo "make bench    measure the pipeline; tables on screen, JSON in bench-results/"
	@echo "make bench-transcribe   measure transcription against its peers"
	@echo "make bench-writing   measure masking, routing and grounding"
	@echo "make bench-growth   measure what a recording costs among 20,000 others, and what a Prefect server takes"
	@echo "make lock     write requirements.lock anew after a change of pyproject.toml; UPGRADE=1 takes newer versions"
	@echo "make clean    remove .venv and what the tools cached"

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "diarynotes needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	@echo "Setting up .venv (about two minutes, once) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . || { echo "The packages could not be installed; pip's words are above."; exit 1; }
	@touch $@

.venv/.developing: .venv/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@# without llama.cpp, which takes minutes to compile, its tests are skipped; continuous integration runs them
	@if [ -n "$$CI" ] && command -v c++ >/dev/null; then $(MAKE) --no-print-directory llama || echo "Without it, its tests are skipped."; fi
	@touch $@

llama: .venv/.installed
	@echo "Compiling llama.cpp (about five minutes, once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[llama]' 'llama-cpp-python[server]'

demo: .venv/.installed
	@$(BIN)/diarynotes demo

up: .venv/.installed
	@$(BIN)/diarynotes up

test: lint
	@$(BIN)/pytest --numprocesses 2 --dist loadfile --cov --cov-report=term

chaos: .venv/.developing
	@for seed in 1 2; do \
		DIARYNOTES_CHAOS_RECORDINGS=300 DIARYNOTES_CHAOS_KILLS=30 DIARYNOTES_CHAOS_SEED=$$seed \
			$(BIN)/pytest -s tests/acceptance/test_chaos.py || exit; \
	done

kill-points: .venv/.developing
	@DIARYNOTES_KILL_ALL=yes $(BIN)/pytest -s tests/acceptance/test_kill_points.py tests/integration/test_warehouse_concurrency.py

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

bench-writing: .venv/.developing
	@$(BIN)/python benchmarks/writing.py

bench-growth: .venv/.developing
	@$(BIN)/python benchmarks/growth.py
	@$(BIN)/python benchmarks/prefect_server.py
	@$(BIN)/python benchmarks/capacity.py

# What is locked stays as it is unless pyproject.toml forbids it or UPGRADE is set, so doing it twice changes nothing.
lock: .venv/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(BIN)/uv pip compile --quiet --config-file deployments/docker/lock.toml --universal --python-version 3.11 \
		--all-extras --generate-hashes --no-annotate --no-emit-package torch $(if $(UPGRADE),--upgrade) \
		--custom-compile-command "make lock" --output-file requirements.lock \
		pyproject.toml deployments/docker/build-tools.in >/dev/null

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .coverage*
