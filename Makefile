# Every target but help sets up .venv/ first (scripts/setup.sh; nothing to do the second time). ARGS="…" is passed on.
# Not only the files decide whether a target is due, so none is a file:
.PHONY: help setup run test check bench fuzz soak bench-gpu train-mini eval-mini
.DEFAULT_GOAL := help

PYTHON_OF_VENV := .venv/bin/python

help:
	@echo 'make setup      set up .venv/ and what of Debian it may install'
	@echo 'make run        run voiced                         ARGS="…": options of voiced run'
	@echo 'make test       run the tests                      ARGS="…": options of pytest'
	@echo 'make check      format, lint, types, layers'
	@echo 'make bench      time every stage on this machine   ARGS="…": options of benchmarks.run'
	@echo 'make bench-gpu  the same on a CUDA device'
	@echo 'make fuzz       hostile input, for minutes         ARGS="…": options of pytest'
	@echo 'make soak       an hour of sound, an hour of talk  ARGS="…": options of pytest'
	@echo 'make train-mini train voiced-mini, for hours       ARGS="…": options of training.run'
	@echo 'make eval-mini  the figures of voiced-mini         ARGS="…": options of training.evaluate'

setup:
	@scripts/setup.sh

run: setup
	@.venv/bin/voiced run $(ARGS)

test: setup
	@$(PYTHON_OF_VENV) -m pytest $(ARGS)

check: setup
	@$(PYTHON_OF_VENV) -m ruff format --check --quiet . || { echo "ruff format: run '.venv/bin/ruff format .'"; exit 1; }
	@$(PYTHON_OF_VENV) -m ruff check .
	@$(PYTHON_OF_VENV) -m mypy
	@.venv/bin/lint-imports --no-logo

bench: setup
	@$(PYTHON_OF_VENV) -m benchmarks.run $(ARGS)

bench-gpu: setup
	@$(PYTHON_OF_VENV) -m benchmarks.run --device cuda $(ARGS)

# No test of a kind yet is no failure (pytest's exit code 5).
fuzz: setup
	@$(PYTHON_OF_VENV) -m pytest -m fuzz $(ARGS) || [ $$? = 5 ]

soak: setup
	@$(PYTHON_OF_VENV) -m pytest -m soak $(ARGS) || [ $$? = 5 ]

train-mini: setup
	@$(PYTHON_OF_VENV) -m training.run $(ARGS)

eval-mini: setup
	@$(PYTHON_OF_VENV) -m training.evaluate $(ARGS)
