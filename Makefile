# Everything a newcomer needs: `make demo`, then `make lab`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := data/demo

.DEFAULT_GOAL := help
.PHONY: help env demo lab app test check bench bench-series bench-learning bench-mapping bench-env real docs pictures clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

env: $(VENV)/.ready  ## Make the virtual environment with the pinned packages

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, not {v[0]}.{v[1]}; run: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: env  ## Write the demo data and run the whole workflow on them
	@$(BIN)/landcover demo $(DEMO)
	@echo
	@$(BIN)/landcover run $(DEMO)/experiment.yml
	@echo "lab     make lab   (JupyterLab on the notebooks)"

# In a container one is often root, as whom Jupyter does not start unasked.
AS_ROOT = $(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root)

lab: env  ## Open JupyterLab on the notebooks
	@$(BIN)/jupyter lab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks/00_quickstart.ipynb \
		--ServerApp.ip=127.0.0.1 --ServerApp.allow_unauthenticated_access=False $(AS_ROOT)

app: env  ## Open the workbench on the demo as a page, for people who do not code
	@test -f $(DEMO)/experiment.yml || $(BIN)/landcover demo $(DEMO)
	@$(BIN)/landcover app $(DEMO)/experiment.yml

# Browsers, kernels and threads on a busy machine may miss their moment: what fails is tried once more, and listed as RERUN.
test: env  ## Run all tests, two files at a time
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --reruns 1 tests

check: env  ## Lint, format and type checks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

real: env  ## Run the whole chain on real images, then every network on five real sets (their folder in LANDCOVER_REAL_DATA)
	@$(BIN)/python benchmarks/real_images.py
	@$(BIN)/python benchmarks/real_accuracy.py

bench: env  ## Measure gap-filling, training and mapping
	@$(BIN)/python benchmarks/speed.py

bench-series: env  ## Measure gap-filling beside its peers
	@$(BIN)/python benchmarks/series.py

bench-learning: env  ## Measure training beside its peers
	@$(BIN)/python benchmarks/learning.py

bench-mapping: env  ## Measure whole maps beside their peers, from products to written map (ARGS=--full: 70 dates)
	@$(BIN)/python benchmarks/map_scale.py $(ARGS)

bench-env: .venv-bench/.ready .venv-bench/beside-torch/.ready  ## Install the peers that cannot live beside ours, for bench-series, -learning and -mapping

.venv-bench/.ready:
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check eo-learn==1.5.7 'numpy<2' numba scikit-learn
	@touch $@

# Beside ours, for they are to use the same torch.
.venv-bench/beside-torch/.ready: env
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv-bench/beside-torch \
		skorch==1.4.0 pytorch-lightning==2.6.6 torchmetrics lightning-utilities tqdm tabulate
	@touch $@

docs: env  ## Write the reference of all parameters into docs/
	@$(BIN)/landcover parameters > docs/parameters.md

pictures: env  ## Take the README's picture anew, from the browser test of the workbench on the demo
	@$(BIN)/landcover run $(DEMO)/experiment.yml
	@LANDCOVER_SHOW=$(DEMO)/experiment.yml $(BIN)/python -m pytest -q tests/browser/test_app.py -k page
	@$(BIN)/python -c "from PIL import Image; \
	Image.open('artefacts/workbench.png').convert('RGB').quantize(128).save('docs/images/workbench.png', optimize=True)"

clean:  ## Remove demo data, runs and caches; the environment stays
	rm -rf $(DEMO) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
