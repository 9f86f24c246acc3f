# One command set for desk and CI. `make demo` and `make test` do all the set-up.
VENV ?= .venv
EXTRAS ?= test
PYTHON ?= python3
BIN = $(VENV)/bin
READY = $(VENV)/.ready-$(subst $(comma),-,$(EXTRAS))
comma := ,

.PHONY: demo test check bench chaos clean

demo: $(READY)
	$(BIN)/cytostream demo

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .

bench: $(READY)
	$(BIN)/python -m tests.bench

chaos: $(READY)
	$(BIN)/python -m tests.chaos $(CHAOS)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) demo-out
