# `make run` and `make test` do everything on a fresh clone; each may come first.
#
#   make run                                     forget Granny Smith among apples, on images that ship
#   make run PARAMS='-p target "monkey face"'    any of papermill's options; without a data set the pictograms
#   make test PYTHON=python3.12                  another interpreter for .venv
#   make run PIP_ARGS='...'                      options for pip install (a mirror, say)

comma := ,
PYTHON  ?= python3
PARAMS  ?= -p dataset grocery -p labels coarse
PIP_ARGS ?=
LAB_ARGS ?=
PAGES    ?=
WORKERS ?= 2
THREADS ?= 1

# The site is looked at in a browser (tests/test_browser.py) where there is one.
CHROMIUM := $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name) 2>/dev/null)))
EXTRAS   := dev$(if $(CHROMIUM),$(comma)browser)

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/clipforget.stamp

# Notebooks and tests start programs by name: they must be this environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE
# Memory that a step frees is kept for the next one: given back to the system, it has to be zeroed again, which took
# a quarter to a half of a run's time (glibc's variables; elsewhere they mean nothing).
export MALLOC_ARENA_MAX ?= 1
export MALLOC_MMAP_THRESHOLD_ ?= 4294967296
export MALLOC_TRIM_THRESHOLD_ ?= 8589934592
# Pages are executed in nbs/ and count all the same.
export COVERAGE_FILE := $(CURDIR)/.coverage

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help env run test test-all browser-test lab readme docs pages docs-run clean distclean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

env: $(STAMP) ## make .venv with everything in it (run, test and lab do this by themselves)

# The stamp is written last: an interrupted installation starts again. Bytecode is written when a module is first
# imported, not for all of 17,000 files at once (a minute).
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "clipforget needs Python 3.11 or later: make $(or $(MAKECMDGOALS),run) PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile $(PIP_ARGS) -e '.[$(EXTRAS)]'
	$(BIN)/python -m ipykernel install --sys-prefix --name clipforget --display-name clipforget
	@touch $@

run: $(STAMP) ## forget Granny Smith among apples: nbs/run.ipynb, results in results/
	$(BIN)/papermill nbs/run.ipynb $(PARAMS)

# tests/ holds the two checks of the sources as well: an export that changes nothing, clean notebooks.
# What they run leaves its results in one temporary folder (tests/conftest.py), where a finished edit is found again:
# results/ is the user's. The shell's `times` tells the tests what the pages took (tests/conftest.py prints it).
# The library's pages are those of its rooms; the others show what it does.
ROOMS   := core data exchange judging method report rivals run
LIBRARY := --skip_folder_re '^([_.]|guide$$|experiments$$)' --skip_file_re '^([_.]|(index|run|tour)[.])'
SHOWING := --skip_folder_re '^([_.]|($(subst $() ,|,$(ROOMS)))$$)'
NBDEV_TEST = $(BIN)/nbdev_test --n_workers $(WORKERS) --do_print --timing
# $(call checks,how nbdev_test starts,its options,then,pytest's options)
define checks
	export CLIPFORGET_RESULTS=$$(mktemp -d) && trap 'rm -rf "$$CLIPFORGET_RESULTS"' EXIT && \
	  export CLIPFORGET_TESTED=$$CLIPFORGET_RESULTS OMP_NUM_THREADS=$(THREADS) && \
	  $(1)$(NBDEV_TEST) $(2) && $(3) \
	  times > "$$CLIPFORGET_RESULTS/times" && \
	  $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(4) tests
endef

# For test-all: the pages that show (front page, tour, main job, guide, experiments), cells with `#| slow`, tests marked
# `long`. What pages that show cover is covered by the library's pages and by tests, so that they need not be traced.
test: $(STAMP) ## execute the library's notebooks, then the tests that are not long: 12 minutes of processor time
	$(call checks,,$(LIBRARY),,-m "not long")

test-all: $(STAMP) ## execute all notebooks, then all tests, as CI does, and say what they cover: 40 minutes of processor time
	$(BIN)/coverage erase
	$(call checks,$(BIN)/coverage run ,$(LIBRARY) --flags slow,$(NBDEV_TEST) $(SHOWING) --flags slow && $(BIN)/coverage combine -q &&,--cov --cov-append --cov-report=term)

browser-test: $(STAMP) ## look at the site in headless Chromium, which must be installed (`make test-all` does where it was from the start)
	$(BIN)/python -m pip install --disable-pip-version-check -q $(PIP_ARGS) -e '.[browser]'
	$(BIN)/python -m pytest tests/test_browser.py

lab: $(STAMP) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab $(LAB_ARGS)

readme: $(STAMP) ## write README.md from index.ipynb, as its outputs stand
	$(BIN)/jupyter nbconvert --log-level WARN --to markdown --output README index.ipynb --TagRemovePreprocessor.enabled=True \
	  --TagRemovePreprocessor.remove_cell_tags remove_cell --TagRemovePreprocessor.remove_input_tags remove_input

docs: $(STAMP) ## build the site from the notebooks as their outputs stand: site/html/index.html
	$(BIN)/python docs/build.py
	@echo "open site/html/index.html"

pages: $(STAMP) ## execute pages in place: make pages PAGES="13_reminding index"; all of them takes a while
	$(BIN)/python docs/execute.py $(PAGES)
	$(BIN)/nbdev_clean
	$(BIN)/nbdev_clean --fname index.ipynb

docs-run: pages docs ## execute all pages first, then build the site

clean: ## remove what builds and tests leave; .venv and results/ stay
	rm -rf build dist site _docs _proc *.egg-info .pytest_cache .coverage .coverage.* nbs/sidebar.yml nbs/.last_checked
	find clipforget nbs tests \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

distclean: clean ## remove .venv too; results/ stays
	rm -rf $(VENV)
