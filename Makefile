# Two commands do everything on a fresh machine: `make demo` and `make test`. Both make the environment first.
PY ?= python3
VENV ?= .venv
EXTRAS ?= all
# auto: a local build of torch where pip knows one, else the build that fits this machine's GPU driver; or cpu, cu130, …
TORCH ?= auto
OUT ?= out
WORKERS ?= 2
# Which notebooks `make notebooks` runs: all, or those that `make test` leaves out (slow).
MARK ?= slow or not slow

BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One BLAS thread per worker: two test workers on two cores otherwise fight over them.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
PYTEST = $(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

.PHONY: help setup demo detect-demo lab test test-all lint format lock notebooks pairs figures clean

help:
	@echo "make demo       the main job on a synthetic sample: predictions, pictures, a notebook, a table ($(OUT)/demo)"
	@echo "make detect-demo CAPTURE=FOLDER   videos to people in 3-D with the real detector, with overlays and a film"
	@echo "make lab        open the notebooks in JupyterLab; start with 00_start_here"
	@echo "make test       linters, type checker, import ladder and the tests; the slow ones with: make test-all"
	@echo "make setup      the environment alone ($(VENV)); TORCH=cpu or TORCH=cu130 choose the build of torch"
	@echo "make lint       ruff, pyright and import-linter alone; make format: let ruff mend what it can"
	@echo "make lock       renew constraints.txt after a change of pyproject.toml"
	@echo "make notebooks  run every notebook without a browser, as it is shipped (about ten minutes on two cores)"
	@echo "make pairs      write notebooks/*.ipynb from notebooks/source/*.py"
	@echo "make figures    write the tables from data/results/*.json and the gallery of README.md from the notebooks"

setup: $(READY)

$(READY): pyproject.toml constraints.txt tools/install.py notebooks/jupyter/page_config.json
	test -x $(BIN)/python || $(PY) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check "uv>=0.8"
	$(BIN)/python tools/install.py --torch $(TORCH) --extras "$(EXTRAS)"
	touch $@

demo: $(READY)
	$(BIN)/dispose demo --out $(OUT)/demo

detect-demo: $(READY)
	@test -d "$(CAPTURE)" || { echo "name a folder with videos/ and a calibration: make detect-demo CAPTURE=FOLDER"; exit 2; }
	$(BIN)/dispose detector show || $(BIN)/dispose detector install
	$(BIN)/dispose detect "$(CAPTURE)" --out $(OUT)/detect-demo/detections --overlay $(OUT)/detect-demo/overlays
	$(BIN)/dispose predict "$(CAPTURE)" --detections $(OUT)/detect-demo/detections --out $(OUT)/detect-demo/people
	$(BIN)/dispose export $(OUT)/detect-demo/people --to mp4 --pictures "$(CAPTURE)"

test: $(READY)
	$(PYTEST)

test-all: $(READY)
	$(PYTEST) -m "slow or not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY)
	$(BIN)/python tools/lock.py

lab: $(READY)
	$(BIN)/jupyter lab --notebook-dir notebooks

notebooks: $(READY)
	$(PYTEST) tests/notebooks -m "$(MARK)"

pairs: $(READY)
	$(BIN)/python tools/notebooks.py

figures: $(READY)
	$(BIN)/python tools/tables.py
	$(BIN)/python tools/gallery.py

clean:
	rm -rf $(OUT) build *.egg-info
