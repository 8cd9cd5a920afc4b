# Every habit of the project is a target here; CI and pre-commit call the same ones. `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Another project's packages, or bytecode that is compiled anew in every process.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

python := .venv/bin/python
code := plugins dags local bench config notebooks tests run_pipeline.py
# tests/conftest.py says which tests stay together and which are handed out first.
parallel := --numprocesses 4 --dist loadfile --no-loadscope-reorder
# Passed on to the command that a target runs: make test ARGS="-k window", make bench ARGS="--help".
ARGS ?=

.PHONY: help setup services stop broker ui doctor demo demo-brands demo-broken demo-celery demo-stream demo-erasure test test-full coverage chaos lint format typecheck bench catalogue notebook pictures requirements clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

setup:  ## Make .venv with the pinned requirements (PYTHON=... chooses another Python 3.11 or 3.12)
	@sh local/setup.sh

services: setup  ## Start PostgreSQL and S3 and wait until they are ready; state is kept in .local/
	@$(python) -m local.services up

stop: setup  ## Stop everything that this checkout started
	@$(python) -m local.services stop

broker: setup  ## Start the services and a Kafka broker, for the stream in `make ui`
	@$(python) -m local.services broker

ui: setup  ## Start Airflow's UI and scheduler on the embedded services
	@$(python) -m local.services ui

doctor: setup  ## Say in eleven lines what is wrong with the deployment that this shell points at (source .local/env.sh)
	@PYTHONPATH=plugins $(python) -m crmbet.doctor

demo: setup  ## Run the main job on sample data, from nothing, and show what came out
	@$(python) -m local.demo $(ARGS)

demo-broken: setup  ## The same on data that must not pass: the run fails and says why
	@$(python) -m local.demo --broken $(ARGS)

demo-celery: setup  ## Run the job in parts on two Celery workers, kill one, and compare with one machine
	@$(python) -m local.demo_celery

demo-brands: setup  ## Run two simulated brands into one database, and check that nothing crosses
	@$(python) -m local.demo_brands

demo-stream: setup  ## Stream a simulated hour into live rows, and compare them with a rebuild
	@$(python) -m local.demo_stream

demo-erasure: setup  ## Erase a player of the demo's data, and prove that nothing names the player any more
	@$(python) -m local.demo_erasure

test: setup  ## Run the tests (ARGS="-k name" for some of them)
	@$(python) -m pytest $(parallel) -m "not full" --durations=10 $(ARGS)

test-full: setup  ## Run the tests, those of full size too
	@$(python) -m pytest $(ARGS)

coverage:  ## Run the tests and measure which branches of the pipeline they take
	@$(MAKE) test ARGS="--cov --cov-report=term $(ARGS)"

chaos: setup  ## Kill loads, PostgreSQL and S3 at every statement; attack, slow down, hang and overhear them; damage the store; on PostgreSQL 15 too
	@$(python) -m pytest tests/integration/load tests/integration/databases tests/integration/live/test_slow_servers.py tests/integration/test_canaries.py tests/integration/test_damaged_store.py --numprocesses 2 --dist worksteal $(ARGS)
	@TEST_POSTGRES=15 $(python) -m pytest tests/integration/load --numprocesses 2 --dist worksteal $(ARGS)

lint: setup typecheck  ## Check style, format, types and the order of imports
	@$(python) -m ruff check $(code)
	@$(python) -m ruff format --check $(code)
	@PYTHONPATH=plugins .venv/bin/lint-imports --no-cache
	@.venv/bin/hadolint Dockerfile

typecheck: setup  ## Check types
	@$(python) -m mypy

format: setup  ## Format the code and mend what the linter can mend
	@$(python) -m ruff check --fix $(code)
	@$(python) -m ruff format $(code)

bench: setup  ## Measure against limits and peers; results in bench/results/ (ARGS="--help" for sizes)
	@$(python) -m bench $(ARGS)

catalogue: setup  ## Write the catalogue, the Portuguese dictionary and the lineage from the contract of the feature table and its SQL
	@PYTHONPATH=plugins $(python) -m local.catalogue

notebook: setup  ## Run the notebook for analysts on the database of this shell (source .local/env.sh) and keep what it shows
	@$(python) -m local.notebook

pictures: setup  ## Take the README's pictures from real runs: two weeks, a broken day, a new delivery
	@$(python) -m local.pictures

compile := .venv/bin/uv pip compile --quiet --universal --no-header --generate-hashes --python-version 3.11

requirements: setup  ## Compile requirements*.in into requirements*.txt, with versions and hashes
	@$(compile) requirements.in -o requirements.txt
	@$(compile) requirements-dev.in -o requirements-dev.txt
	@$(compile) local/installer.in -o local/installer.txt

clean:  ## Stop everything and remove all that was made: .venv, .local and caches
	@[ ! -f .venv/installed.json ] || $(python) -m local.services stop
	@rm -rf .venv .local .mypy_cache .pytest_cache .ruff_cache .hypothesis
