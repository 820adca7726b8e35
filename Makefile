# The two commands a newcomer needs, on a machine with Python 3.11+ and nothing else:
#   make demo   trains on the built-in scene and shows the result beside the truth
#   make test   runs the tests (make lint: the linter; make test-triton: the GPU kernels under Triton's interpreter, 290 MB more)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Waiting threads sleep instead of spinning, which matters on a shared machine.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: demo test test-triton lint clean

demo: $(VENV)/installed
	$(BIN)/python exp_runner.py demo --out runs/demo

test: $(VENV)/installed
	$(BIN)/python -m pytest

test-triton: $(VENV)/installed
	$(BIN)/python -m pip install -q "triton>=3.2"
	$(BIN)/python -m pytest tests/kernels tests/training/test_fused.py tests/training/test_steps.py

lint: $(VENV)/installed
	$(BIN)/python -m ruff check .

$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), expected Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -r requirements.txt "pytest>=8" "ruff>=0.9"
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

clean:
	rm -rf $(VENV) runs/demo
