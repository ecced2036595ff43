"""vLLM beside `generate`: the same greedy tokens, and tokens per second of many requests at once.

    python benchmarks/gpu/vllm_offline.py                  # vLLM in this environment, or in that of $VLLM_PYTHON

The prompts are given to vLLM as text and images, as its server does; the plugin of the package registers the model.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import case
import torch

REQUESTS, NEW_TOKENS = 32, 64
WORKER = """
import json, sys, time
from PIL import Image
from vllm import LLM, SamplingParams

folder, dtype, count, new_tokens = json.loads(sys.argv[1])
llm = LLM(folder, dtype=dtype, max_model_len=2048, gpu_memory_utilization=0.6)
image = Image.open(folder + "/image.png")
prompt = {"prompt": open(folder + "/prompt.txt").read(), "multi_modal_data": {"image": image}}
sampling = SamplingParams(temperature=0, max_tokens=new_tokens, min_tokens=new_tokens)
first = llm.generate([prompt], sampling)[0]
began = time.perf_counter()
llm.generate([prompt] * count, sampling)
seconds = time.perf_counter() - began
print(json.dumps({"tokens": list(first.outputs[0].token_ids), "seconds": seconds}))
"""


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Equal tokens and throughput."""
    python = os.environ.get("VLLM_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import vllm"], capture_output=True).returncode:
        raise case.Skipped(f"{python} has no vLLM; pip install vllm, or name an environment in VLLM_PYTHON")
    processor, config = case.make_processor_and_config(args.size)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    requests, new_tokens = (2, 8) if args.tiny else (REQUESTS, NEW_TOKENS)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        model = case.make_model(config, torch.device("cpu"), dtype)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        image, prompt = case.make_question()
        image.save(Path(folder) / "image.png")
        text = processor.apply_chat_template(prompt, add_generation_prompt=True)
        (Path(folder) / "prompt.txt").write_text(text)
        model.to(device)
        inputs = case.make_inputs(processor, device)
        count = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens}
        began = time.perf_counter()
        tokens = model.generate(**inputs, do_sample=False, **count)[0, inputs["input_ids"].shape[1] :].tolist()
        alone = time.perf_counter() - began
        del model
        if device.type != "cpu":
            torch.cuda.empty_cache()
        words = json.dumps([folder, str(dtype).removeprefix("torch."), requests, new_tokens])
        done = subprocess.run([python, "-c", WORKER, words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"vLLM ended with {done.returncode}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    equal = sum(a == b for a, b in zip(found["tokens"], tokens, strict=False))
    return {
        "equal tokens": f"{equal}/{new_tokens}",
        "generate, one request, tokens/s": new_tokens / alone,
        f"vLLM, {requests} requests, tokens/s": requests * new_tokens / found["seconds"],
    }


if __name__ == "__main__":
    case.main(measure, case.parse(__doc__))
