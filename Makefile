# Two commands do everything: `make demo`, `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo test test-all check unit integration docs bench clean

demo: $(READY)
	$(BIN)/monolisp build examples/hello/hello.lisp -o hello
	./hello

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

test: check unit integration

check: $(READY)
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/python -m monolisp.errors | diff - docs/errors.md

unit: $(READY)
	$(BIN)/pytest -q tests/unit

integration: $(READY)
	$(BIN)/pytest -q -n 2 --dist loadfile tests/integration -m 'not slow'

test-all: $(READY) check
	$(BIN)/pytest -q -n 2 --dist loadfile tests

docs: $(READY)
	$(BIN)/python -m monolisp.errors > docs/errors.md

bench: $(READY)
	$(BIN)/python bench/run.py

clean:
	rm -rf $(VENV) hello
