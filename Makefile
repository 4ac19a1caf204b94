# make demo   the main job on the embedded model, offline after installation
# make test   all tests (PROCESSES=4 for more at once)
# make check  lint, types, tests
# make docs   the site, in site/   make build   wheel and sdist, in dist/
# Each sets up what it needs in .venv; PYTHON=python3.12 chooses another interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
OLD := .venv-transformers4
# -qq: errors only. --no-compile: Python compiles what is imported, pip would compile everything, which takes longer than the rest;
# so Python must be let to keep what it compiled.
# torch goes first and by its pin, so that no looser requirement picks another build.
QUICKLY = install -qq --no-compile --disable-pip-version-check
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL = $(QUICKLY) -c constraints.txt
# Tests run in this many processes, each on one thread; a file's tests stay together.
PROCESSES ?= 2
SHARED = -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
test test-transformers4: export OMP_NUM_THREADS = 1

.PHONY: demo test test-transformers4 lint types check docs build clean

demo: $(VENV)/.demo
	@$(VENV)/bin/bmretriever demo

test: $(VENV)/.dev
	@$(VENV)/bin/python -m pytest $(SHARED)

check: lint types test

lint: $(VENV)/.dev
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check

types: $(VENV)/.dev
	@$(VENV)/bin/mypy

# The oldest transformers that the package supports: the engine's tests only, without the frameworks.
test-transformers4: $(OLD)/.installed
	@$(OLD)/bin/python -m pytest $(SHARED) tests/encoder/test_tokens.py tests/encoder/test_equality.py tests/checkpoints/test_real_tokenizers.py tests/checkpoints/test_mini.py tests/encoder/test_warm_up.py tests/forward tests/export/test_sentence_transformer.py tests/export/test_other_transformers.py

docs: $(VENV)/.dev
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet && echo "The site is in site/index.html"

build: $(VENV)/.dev
	@$(VENV)/bin/python -m build --outdir dist

clean:
	rm -rf $(VENV) $(OLD) build dist site demo-index

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (PyTorch, Haystack, LlamaIndex; a few minutes, once) ..."
	@$(VENV)/bin/python -m pip $(PIP_INSTALL) torch==2.13.0
	@$(VENV)/bin/python -m pip $(PIP_INSTALL) -e ".[demo]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing everything that development needs into $(VENV) (several minutes, once) ..."
	@$(VENV)/bin/python -m pip $(PIP_INSTALL) torch==2.13.0
	@$(VENV)/bin/python -m pip $(PIP_INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/.demo

$(OLD)/.installed: pyproject.toml
	@echo "Installing transformers 4.57 into $(OLD) (a minute, once) ..."
	@$(PYTHON) -m venv $(OLD)
	@$(OLD)/bin/python -m pip $(QUICKLY) torch==2.13.0
	@$(OLD)/bin/python -m pip $(QUICKLY) -e . "transformers==4.57.*" "sentence-transformers>=5.6" pytest pytest-asyncio pytest-xdist sentencepiece "protobuf>=5" "triton==3.7.1"
	@touch $@
