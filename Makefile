# demo: the whole line on a rendered world, ending in a report.   test: every check that a change must pass.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-all check bench fuzz clean docs system

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gesta needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv is missing. On Debian or Ubuntu run: apt-get install -y python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "installing gesta and what it needs into $(VENV) (about 5 GB, once)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/gesta demo --out build/demo

system:
	@sh tools/system_packages.sh

test: system $(STAMP)
	@$(MAKE) --no-print-directory check
	$(BIN)/pytest -n 2 -m "not slow and not gpu"

test-all: system $(STAMP)
	@$(MAKE) --no-print-directory check
	$(BIN)/pytest -n 2 -m "not gpu"

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)
	$(BIN)/python -m tools.make_docs

# OFFICIAL is a checkout of activitynet/ActivityNet; without it the evaluator is measured against its other peers.
bench: $(STAMP)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev,bench]'
	@for room in ava baselines consensus copies crowd_study curate dedup demo detect label mine noise papers_numbers persons positions predict stats train video; do $(BIN)/python -m benchmarks.$$room || exit 1; done
	$(BIN)/python -m benchmarks.evaluate $(if $(OFFICIAL),--official $(OFFICIAL),--peers coco)

fuzz: $(STAMP)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m benchmarks.fuzz --minutes 10

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis
