"""Streamed answers next to the time that reading the weights takes: milliseconds a token, and share of the roofline.

    python benchmarks/decode.py small --keep decode.jsonl              # 3 minutes
    python benchmarks/decode.py small exports/small-onnx-int8          # exported models, too

A way is measured in a process of its own memory: loaded, warmed up, and asked to continue a text, once for 1 token and
once for many; the difference is the time of a token. "generate" is Transformers' loop on the plain model, "plain" the
engine, "packed" the engine as commands load it, with text streamed out of it. The roofline is the bytes of weights
that a token needs, of the decoder and the head, over the bandwidth at which torch sums an array of 512 MB, measured
before and after each way with the same threads. A share above 1 would say that weights stayed in a cache.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import seconds

from minigemini.inference import Engine, Sampling
from minigemini.inference.exported_model import ExportedModel

TEXT = "Once upon a time there was a story about a ship, two brothers and the sea, and it began on a cold morning when"
FORMATS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "8bit, bfloat16": {"dtype": "bfloat16", "quantize": "8bit"},
}
WAYS = ("generate", "plain", "packed")
ARRAY = 2**27


def bandwidth() -> float:
    """Bytes a second at which torch sums an array that no cache holds."""
    array = torch.ones(ARRAY)
    array.sum()
    return array.nbytes / statistics.median(seconds(array.sum) for _ in range(5))


def weight_bytes(engine: Engine) -> int:
    """Bytes of weights that a token reads: all Linears of the decoder, and the head."""
    if isinstance(engine.model, ExportedModel):
        folder = Path(engine.name)
        files = [*folder.rglob("decoder_model_merged*"), *folder.rglob("openvino_language_model.bin")]
        return sum(file.stat().st_size for file in files)
    decoder = engine.model.model.language_model
    linears = [m for m in decoder.modules() if isinstance(m, torch.nn.Linear)] + [engine.model.lm_head]
    return sum(linear.weight.nbytes for linear in linears)


def stream_seconds(engine: Engine, tokens: int) -> tuple[float, int]:
    answer = engine.complete(TEXT, Sampling(tokens)).answer
    return answer.seconds, answer.new_tokens


def generate_seconds(engine: Engine, tokens: int) -> tuple[float, int]:
    inputs = engine.prompts.raw_inputs(TEXT)
    ids: list[Any] = []
    taken = seconds(lambda: ids.extend(engine.model.generate(**inputs, max_new_tokens=tokens, do_sample=False)))
    return taken, len(ids[0]) - inputs["input_ids"].shape[1]


def milliseconds(ask: Callable[[Engine, int], tuple[float, int]], engine: Engine, tokens: int) -> float:
    """Time of a token."""
    first, _ = ask(engine, 1)
    whole, new = ask(engine, tokens)
    return 1e3 * (whole - first) / (new - 1)


def measure(name: str, load: dict[str, Any], way: str, options: Any) -> dict[str, Any]:
    engine = Engine.load(name, "cpu", **load)
    size = weight_bytes(engine)
    if way == "packed":
        del engine
        engine = Engine.load(name, "cpu", packed=True, **load)
    ask = generate_seconds if way == "generate" else stream_seconds
    milliseconds(ask, engine, 4)
    speeds = [bandwidth()]
    times = [milliseconds(ask, engine, options.tokens) for _ in range(options.repetitions)]
    speeds.append(bandwidth())
    speed = statistics.mean(speeds)
    roofline = 1e3 * size / speed
    taken = statistics.median(times)
    return {"ms": taken, "MB": size / 1e6, "GB/s": speed / 1e9, "roofline": roofline, "share": roofline / taken}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="names or folders")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="append results to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| model | weights | way | MB a token | GB/s beside it | roofline, ms | ms a token | share |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.models:
        is_exported = Path(name).is_dir() and not (Path(name) / "model.safetensors").exists()
        for weights in ("exported",) if is_exported else options.formats:
            for way in ("plain",) if is_exported else options.ways:
                row = measure(name, {} if is_exported else FORMATS[weights], way, options)
                cells = [
                    Path(name).name,
                    weights,
                    way,
                    *(f"{row[key]:.1f}" for key in ("MB", "GB/s", "roofline", "ms")),
                ]
                print("| " + " | ".join([*cells, f"{row['share']:.2f}"]) + " |", flush=True)
                if options.keep:
                    with options.keep.open("a") as file:
                        file.write(json.dumps({"model": name, "weights": weights, "way": way, **row}) + "\n")


if __name__ == "__main__":
    main()
