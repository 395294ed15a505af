# make demo | train-demo | test | check: each does all its own set-up; Python 3.11+ is all it needs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

KAGGLE_USER ?= USERNAME
WEIGHTS ?=
ARGS ?=

.PHONY: help demo train-demo kaggle test check benchmarks docs docs-check format constraints clean

help:
	@echo "make demo        judge an authentic and a manipulated sample (light install, under 2 minutes)"
	@echo "make train-demo  make a small dataset, train on it, evaluate, detect (a few minutes)"
	@echo "make kaggle      dist/kaggle, ready for upload (KAGGLE_USER=name WEIGHTS=resnet50.pth)"
	@echo "make test        every test"
	@echo "make check       lint, types, floors"
	@echo "make benchmarks  measure every row of docs/performance.md (half an hour; QUICK=1 only tries it)"
	@echo "make docs        the documentation as a site, in site/"
	@echo "make docs-check  hold README and docs to the code: settings, paths, links; run their commands"
	@echo "make format      format the code"

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "unmask needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[dev]'
	@touch $@

# Of scikit-image only the public-domain portrait is used: its dependencies are not needed.
$(VENV)/.light: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "unmask needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	$(INSTALL) --no-deps scikit-image
	@touch $@

demo: $(VENV)/.light
	$(BIN)/python scripts/demo.py demo

train-demo: $(VENV)/.dev
	$(BIN)/python scripts/train_demo.py demo/train $(ARGS)

kaggle: $(VENV)/.dev
	$(BIN)/python scripts/kaggle.py notebook
	$(BIN)/python scripts/kaggle.py folder dist/kaggle --user $(KAGGLE_USER) $(if $(WEIGHTS),--weights $(WEIGHTS))

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The rival is no dependency: without it its row says how to install it.
benchmarks: $(VENV)/.dev
	$(BIN)/python benchmarks/table.py $(if $(QUICK),--quick)

# The notice is about a later version of another tool than the one that is pinned.
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

docs-check: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python scripts/docs_check.py

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The CUDA build's local label is dropped, so that a CPU-only index resolves as well.
constraints: $(VENV)/.dev
	( sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable --exclude unmask \
	  | sed 's/+cu[0-9]*//' ) > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) demo build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
