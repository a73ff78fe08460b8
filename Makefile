# calisketch. "make help" lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUPPLY := .venv/supply
OUT ?=
SIZE ?= 256
CUHK ?=
PHOTOS ?=
CONSTRAINTS ?=
MODELS ?= cuhk-small-256 $(wildcard models/cuhk-smooth-128 models/cuhk-colour-128 models/faces-small-256)
PORT ?=
RECIPE ?= small
MINUTES ?=
RECIPE_SIZE = $(shell sed -n 's/^size: //p' conf/recipe/$(RECIPE).yaml)

CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

# Third-party weights are looked for in this folder first (see data/README.md).
ifndef CALISKETCH_WEIGHTS
ifneq ($(wildcard ../shared/weights),)
export CALISKETCH_WEIGHTS := $(abspath ../shared/weights)
endif
endif

.PHONY: help install demo studio test test-browser lint format cuhk photos reproduce smoke docs wheel lock audit clean

help: ## this list
	@echo "calisketch: a rough sketch becomes a photo-real face. Targets:"
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'
	@echo
	@echo "Variables: PYTHON=python3.11 (3.10 to 3.14)   SIZE=256 (pixels)   OUT=folder for prepared data"
	@echo "           CONSTRAINTS=constraints.txt (install the pinned versions)   CHROMIUM=path (for test-browser)"

# A stamp for each extra: a target installs what it needs, and no more.
$(VENV)/.installed-%: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 14) else f"calisketch needs Python 3.10 to 3.14; $(PYTHON) is {v[0]}.{v[1]}. Give another one: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@index="$$($(WITHOUT_CUDA))"; set -x; \
		$(PINNED) $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]' $$index
	@touch $@ $(if $(filter dev,$*),$(addprefix $(VENV)/.installed-,train export app scale))

# On Linux PyPI's PyTorch brings 2 GB of CUDA packages. Where there is no NVIDIA card, and no PyTorch yet, PyTorch's own
# index with builds without CUDA is added, if it can be reached; if not, that is told, and pip takes what there is.
CPU_INDEX := https://download.pytorch.org/whl/cpu
REACH := import urllib.request; urllib.request.urlopen("$(CPU_INDEX)/torch/", timeout=5)
WITHOUT_CUDA = if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && ! [ -e /proc/driver/nvidia/version ] \
	&& ! $(BIN)/python -c 'import torch' 2>/dev/null; then \
	if $(BIN)/python -c '$(REACH)' 2>/dev/null; then echo --extra-index-url $(CPU_INDEX); \
	else echo 'PyTorch without CUDA cannot be had: $(CPU_INDEX) does not answer. pip may download 2 GB of CUDA packages.' >&2; fi; fi

# As environment variables the constraints also hold in the environment of their own that pip builds packages in.
PINNED := $(if $(CONSTRAINTS),PIP_CONSTRAINT='$(abspath $(CONSTRAINTS))' PIP_BUILD_CONSTRAINT='$(abspath $(CONSTRAINTS))')

# Tools that look at the dependencies must not be among them.
$(SUPPLY)/.installed:
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8' 'pip-audit>=2.9'
	@touch $@

install: $(VENV)/.installed-dev ## a virtual environment in .venv with everything for use, training and development

demo: $(VENV)/.installed-train ## sketches drawn as strokes -> calibrated -> faces, and a few training steps: outputs/demo.png
	$(BIN)/python tools/demo.py

studio: $(VENV)/.installed-app ## a page to draw on in the browser, served on this computer: make studio MODELS="..." PORT=7860
	@$(BIN)/calisketch studio --model $(MODELS) $(if $(PORT),--port $(PORT))

test: install lint ## the checks and the test suite
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# Not part of "test": these take minutes, and need a browser.
test-browser: install ## the studio's page in Chromium, as a person uses it
	@test -n "$(CHROMIUM)" || { echo 'make test-browser needs Chromium, and found none. Install it (Debian, Ubuntu: apt-get install chromium), or say where one is: make test-browser CHROMIUM=/path/to/chromium' >&2; exit 2; }
	CALISKETCH_CHROMIUM='$(CHROMIUM)' PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest tests/browser

lint: install ## ruff (rules and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install ## rewrites the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cuhk: $(VENV)/.installed-train ## prepares the CUHK student set: make cuhk CUHK="training.zip testing.zip" (zips or folders, as released)
	@test -n "$(CUHK)" || { echo 'Say where the release is: make cuhk CUHK="<zips or folders>" (see data/README.md)'; exit 2; }
	$(BIN)/calisketch prepare-cuhk "source=[$(subst $() $(),$(comma),$(foreach f,$(CUHK),'$(f)'))]" out="$(or $(OUT),data/cuhk$(SIZE))" size=$(SIZE)

photos: $(VENV)/.installed-train ## prepares any folder of face photos: make photos PHOTOS=folder
	@test -n "$(PHOTOS)" || { echo 'Say which folder: make photos PHOTOS=<folder of face photos>'; exit 2; }
	$(BIN)/calisketch prepare source="'$(PHOTOS)'" out="$(or $(OUT),data/photos$(SIZE))" size=$(SIZE)

reproduce: $(VENV)/.installed-train ## both models and their tables: make reproduce CUHK=... PHOTOS=... RECIPE=gpu_256 MINUTES=18 (or small)
	@test -n "$(CUHK)" -a -n "$(PHOTOS)" || { echo 'Say where both are: make reproduce CUHK=<zips or folders> PHOTOS=<folder of face photos, in train, val and test> RECIPE=gpu_256|small'; exit 2; }
	@test -n "$(RECIPE_SIZE)" || { echo 'There is no recipe "$(RECIPE)"; RECIPE is one of: $(basename $(notdir $(wildcard conf/recipe/*.yaml)))'; exit 2; }
	$(MAKE) cuhk SIZE=$(RECIPE_SIZE) OUT=data/cuhk$(RECIPE_SIZE)
	$(MAKE) photos SIZE=$(RECIPE_SIZE) OUT=data/faces$(RECIPE_SIZE)
	$(BIN)/python tools/recipe.py recipe=$(RECIPE) data.cuhk=data/cuhk$(RECIPE_SIZE) data.general=data/faces$(RECIPE_SIZE) out="$(or $(OUT),runs/$(RECIPE))" $(if $(MINUTES),minutes=$(MINUTES))

smoke: $(VENV)/.installed-train ## trains all three stages in miniature, in under a minute, on faces drawn by a procedure
	$(BIN)/calisketch train experiment=smoke/cali_sketch

docs: $(VENV)/.installed-docs ## the documentation as a website: site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo 'The documentation is in site/index.html'

wheel: $(VENV)/.installed-dev ## dist/*.whl with configurations and the default model inside
	$(BIN)/python -m build --wheel

lock: $(SUPPLY)/.installed ## writes constraints.txt anew: the newest versions that pyproject.toml allows (needs the network)
	@{ sed -n '/^#/p' constraints.txt; printf 'setuptools\nwheel\neditables\n' | $(SUPPLY)/bin/uv pip compile --quiet --universal \
		--python-version 3.10 --no-emit-index-url --no-annotate --no-header --extra dev --extra docs pyproject.toml -; } > .constraints.writing \
		&& mv .constraints.writing constraints.txt || { rm -f .constraints.writing; exit 1; }

audit: $(SUPPLY)/.installed ## compares the pinned versions with the published vulnerabilities (needs the network)
	$(SUPPLY)/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

clean: ## removes what building and testing left (not data, runs or outputs)
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

comma := ,
