# Two commands do everything: `make demo`, `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo test test-all turn check unit integration docs targets fuzz bench clean

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
	$(BIN)/pytest -q -n 2 tests/unit

integration: $(READY)
	$(BIN)/pytest -q -n 2 --dist loadfile tests/integration -m 'not slow'

# Everything, also what takes minutes (an hour in all); the result is kept in docs/.
test-all: $(READY) check unit
	$(BIN)/python tests/all.py docs/test-all.md

# One part in eight of the slow tests, another one every day: what the gate has time for.
turn: $(READY)
	$(BIN)/pytest -q tests/integration -m slow --turn $$(($$(date +%s) / 86400 % 8))/8

docs: $(READY)
	$(BIN)/python -m monolisp.errors > docs/errors.md

# Programs for every processor that is not refused, built and run; the result is the table in docs/targets.md.
targets: $(READY)
	$(BIN)/python tests/targets.py

# Readers of files that others wrote, with 100,000 mutated ones (a quarter of an hour); the result is docs/fuzzing.md.
fuzz: $(READY)
	PYTHONPATH=. $(BIN)/python tests/fuzz.py 100000 docs/fuzzing.md

bench: $(READY)
	$(BIN)/python bench/run.py

clean:
	rm -rf $(VENV) hello
