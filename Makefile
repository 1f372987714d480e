# make demo | test | exhaustive | check | bench — each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN ?= runs/digits
# options of benchmarks/bench.py, such as --quick or --mnist FILE
BENCH ?=
# a process of tests per processor: threads of libraries would only wait for each other
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: setup demo test exhaustive check bench clean
setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# lava-nc declares Python 3.10 only; it works on later ones (docs/adr/0004)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python -c constraints.txt lava-nc
	# a judge for tests, of which only modules without dependencies are used; it has no wheel for every Python, and its tests are skipped there (docs/adr/0017)
	-$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: -c constraints.txt aihwkit
	touch $@

demo: setup
	$(BIN)/neurohw flow digits --run $(RUN)

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy neurohw
	$(ONE_THREAD) $(BIN)/pytest -n auto --dist worksteal -m 'not exhaustive'

exhaustive: setup
	$(ONE_THREAD) $(BIN)/pytest -n auto --dist worksteal -m exhaustive

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy neurohw
	$(ONE_THREAD) $(BIN)/pytest -n auto --dist worksteal -m 'not rtl and not slow and not synth and not exhaustive' -x -q

bench: setup
	$(BIN)/python benchmarks/bench.py $(BENCH)

clean:
	rm -rf $(VENV) .bench runs build sim_build
