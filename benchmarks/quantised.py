"""The language model in 8 and 4 bits next to float32 and bfloat16: time, memory and error on this machine's CPU.

    python benchmarks/quantised.py                        # 10 minutes, up to 14 GB
    python benchmarks/quantised.py --repetitions 3 --json quantised.json

One random model (Llama of 8 layers of 2048, vocabulary 32,000; encoders of a few thousand weights) is written once and
loaded in each way. All are in this process and take turns; times are medians over the turns. "Error" is that of the
logits of 64 tokens against float32, relative, root mean square: random weights pass an error on from layer to layer
without the redundancy of trained ones, so it ranks the ways and says nothing about answers. "Peak" is the highest
anonymous memory of a process of its own while it loads. torchao is measured where it is installed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from harness import peak_mib, seconds

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration
from minigemini.io.quantization import NOT_QUANTIZED, quantization_config

WAYS = (
    "float32",
    "bfloat16",
    "8bit float32",
    "8bit bfloat16",
    "4bit float32",
    "4bit bfloat16",
    "torchao 8bit bfloat16",
)
PROMPT_TOKENS, NEW_TOKENS = 64, 16


@dataclass
class Result:
    way: str
    seconds_per_token: float
    seconds_for_the_prompt: float
    weights_mib: float
    peak_mib_while_loading: float
    logits_error: float


def write_model(folder: Path) -> None:
    text = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 8, "num_attention_heads": 16}
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = MiniGeminiConfig(
        vision_config={**vision, "image_size": 16, "patch_size": 8},
        high_res_vision_config={"hidden_sizes": [4, 8, 8, 16], "depths": [1, 1, 1, 1]},
        text_config={**text, "vocab_size": 32000},
        high_res_size=32,
        image_token_id=31999,
    )
    torch.manual_seed(0)
    MiniGeminiForConditionalGeneration(config).save_pretrained(folder)


def load(way: str, folder: Path) -> MiniGeminiForConditionalGeneration:
    *bits, name = way.split()
    dtype = getattr(torch, name)
    if "torchao" in bits:
        from torchao.quantization import Int8WeightOnlyConfig
        from transformers import TorchAoConfig

        config: Any = TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=NOT_QUANTIZED)
    else:
        config = quantization_config(bits[0], dtype) if bits else None
    model = MiniGeminiForConditionalGeneration.from_pretrained(
        folder, dtype=dtype, quantization_config=config, device_map={"": "cpu"}
    )
    return model.eval()


def peak_of_a_process(way: str, folder: Path) -> float:
    words = [sys.executable, __file__, "--peak", way, str(folder)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1])


def weights_mib(model: torch.nn.Module) -> float:
    """What is saved, scales included; torchao's tensors say themselves what they consist of."""
    total = 0
    for tensor in model.state_dict().values():
        parts = [getattr(tensor, name) for name in tensor.tensor_data_names] if hasattr(tensor, "qdata") else [tensor]
        total += sum(part.nbytes for part in parts)
    return total / 2**20


def measure(folder: Path, repetitions: int) -> list[Result]:
    ways = [way for way in WAYS if "torchao" not in way or find_spec("torchao")]
    peaks = {way: peak_of_a_process(way, folder) for way in ways}
    models = {way: load(way, folder) for way in ways}
    sizes = {way: weights_mib(model) for way, model in models.items()}
    ids = torch.randint(0, 31999, (1, PROMPT_TOKENS))
    logits = {way: model(ids).logits.float() for way, model in models.items()}  # warms up, too
    exact = logits["float32"]
    errors = {way: ((x - exact).square().mean() / exact.square().mean()).sqrt().item() for way, x in logits.items()}

    prompt: dict[str, list[float]] = {way: [] for way in ways}
    token: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(repetitions):
        for way in ways[:: 1 if turn % 2 else -1]:  # to and fro, so that no side is favoured
            settings = {"do_sample": False, "eos_token_id": None}
            one = seconds(lambda: models[way].generate(ids, max_new_tokens=1, **settings))  # noqa: B023
            many = seconds(lambda: models[way].generate(ids, max_new_tokens=1 + NEW_TOKENS, **settings))  # noqa: B023
            prompt[way].append(one)
            token[way].append((many - one) / NEW_TOKENS)
    return [
        Result(way, statistics.median(token[way]), statistics.median(prompt[way]), sizes[way], peaks[way], errors[way])
        for way in ways
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.add_argument("--peak", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.peak:
        print(peak_mib(lambda: load(args.peak[0], Path(args.peak[1]))))
        return
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        write_model(Path(folder))
        results = measure(Path(folder), args.repetitions)
    print("| way | ms per token | ms for 64 tokens | weights, MiB | peak while loading, MiB | error of the logits |")
    print("|---|---|---|---|---|---|")
    for r in results:
        times = f"{1e3 * r.seconds_per_token:.0f} | {1e3 * r.seconds_for_the_prompt:.0f}"
        print(f"| {r.way} | {times} | {r.weights_mib:.0f} | {r.peak_mib_while_loading:.0f} | {r.logits_error:.3f} |")
    if args.json:
        args.json.write_text(
            json.dumps({"torch": torch.__version__, "results": [asdict(r) for r in results]}, indent=2)
        )


if __name__ == "__main__":
    main()
