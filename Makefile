# `make demo` and `make test` on a fresh clone need python3 >= 3.11 with venv and pip, and nothing else.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYGAME_HIDE_SUPPORT_PROMPT = 1

.PHONY: demo test test-full lint format docs gallery clean
.DELETE_ON_ERROR:

demo: .venv/installed
	@$(BIN)/python -m runs.cli.demo

# Every run below runs/out that a web page can play, and an index: runs/out/gallery/index.html.
gallery: .venv/installed
	@$(BIN)/python -m runs.sharing.web.gallery

test: lint
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -q -n 2 --dist loadfile

# Writes docs/test-full.md and docs/mutants.md, which are committed.
test-full: lint
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -q -m "" --timeout 3600 --summary=docs/test-full.md
	$(BIN)/python -m tests.mutants

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation site, in site/; a broken link stops it. Open site/index.html, or `make docs SERVE=1` to write with a live view.
docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs $(if $(SERVE),serve,build) --strict

.venv/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo "no python3 >= 3.11 found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# The stamps are newer than what decides the installation, so that the set-up runs once.
.venv/installed: pyproject.toml constraints.txt | .venv/pyvenv.cfg
	@echo "installing into .venv: about 1.6 GB, more where PyTorch brings CUDA, some minutes"
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/pyvenv.cfg
	@echo "installing into .venv: about 1.7 GB, more where PyTorch brings CUDA, some minutes"
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	@touch $@ .venv/installed

clean:
	rm -rf .venv dist build site .pytest_cache .mypy_cache .ruff_cache
