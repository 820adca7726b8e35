# On a machine with Python 3.11+ and nothing else:
#   make demo         trains on the built-in scene and compares the result with the exact surface: runs/demo
#   make test         runs the tests that take less than a few seconds each; make test-slow the others
#   make test-triton  runs the GPU kernels under Triton's interpreter (downloads another 290 MB)
#   make lint         runs the linter and the spelling checker
#   make docs         builds the documentation site: site/index.html (installs mkdocs first, some 40 MB)
# On Linux PyPI's torch is the CUDA build, gigabytes of downloads. For the CPU build, some 200 MB:
#   make demo TORCH_INDEX=URL    (the index of CPU builds that PyTorch's "get started" page names)
PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
# Tests run on one thread each, in so many processes; those of a file stay together, for what they share.
JOBS ?= 2
SHARED_OUT = -n $(JOBS) --dist loadfile
# Waiting threads sleep instead of spinning, which costs less on a shared machine.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: demo test test-slow test-triton lint docs clean

demo: $(VENV)/installed
	$(BIN)/python exp_runner.py demo --out runs/demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -m "not slow" $(SHARED_OUT)

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow $(SHARED_OUT)

test-triton: $(VENV)/installed
	$(BIN)/python -m pip install -q "triton>=3.2"
	$(BIN)/python -m pytest tests/kernels tests/training/test_fused.py tests/training/test_strategies.py

lint: $(VENV)/installed
	$(BIN)/python -m ruff check .
	$(BIN)/python -m codespell_lib *.md *.py confs data/README.md docs examples neus tests benchmarks

# NO_MKDOCS_2_WARNING: a notice of the theme's authors, not of this site.
docs: $(VENV)/installed
	$(BIN)/python -m pip install -q "mkdocs>=1.6,<2" "mkdocs-material>=9.7" "mkdocstrings-python>=2.0"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo site/index.html

$(VENV)/installed: requirements.txt pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), expected Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install -q --index-url $(TORCH_INDEX) $$(grep '^torch==' requirements.txt))
	$(BIN)/python -m pip install -q -r requirements.txt "pytest>=8" "ruff>=0.9" "setuptools>=77" "codespell>=2.3" "pytest-xdist>=3.5"
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

clean:
	rm -rf $(VENV) runs/demo site
