"""Exported models next to PyTorch: size, parity, time to the first token and per token.

    python benchmarks/exported.py exports nano small          # 20 minutes for small, 3 GB
    python benchmarks/exported.py exports nano --threads 2 --repetitions 9

Models are exported into the folder unless they are there. All ways of running a model are in this process and take
turns; times are medians over the turns of the CPU time of `generate`, which other processes disturb less than time on
the clock. With one thread the two are the same on an idle machine. "First token" is reading the prompt, with one
image; its preparation, the same for all, is left out.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from minigemini.export.export_model import export
from minigemini.export.parity import QUESTION, compare
from minigemini.images.safe_images import open_image
from minigemini.inference import Engine
from minigemini.io.exported_files import RUNTIMES, WEIGHTS

NEW_TOKENS = 33
IMAGE = Path(__file__).parent.parent / "examples" / "things.png"


def cpu_ms(engine: Engine, inputs: dict[str, torch.Tensor], new_tokens: int) -> float:
    """CPU time of `generate` for a number of tokens, whether or not the model would end."""
    started = time.process_time()
    engine.model.generate(**inputs, max_new_tokens=new_tokens, min_new_tokens=new_tokens, do_sample=False)
    return (time.process_time() - started) * 1000


def megabytes(folder: Path) -> float:
    """Size of the weights in a folder."""
    kinds = (".onnx", ".onnx_data", ".xml", ".bin", ".safetensors")
    return sum(file.stat().st_size for file in folder.rglob("*") if file.suffix in kinds) / 1e6


def measure(model: str, folder: Path, repetitions: int) -> None:
    """Print a row of a table for each way of running a model."""
    original, image = Engine.load(model, "cpu", "float32"), open_image(IMAGE)
    content = [{"type": "image", "image": image}, {"type": "text", "text": QUESTION}]
    inputs = original.prompts.inputs([{"role": "user", "content": content}])
    engines = {"PyTorch": original}
    parameters = sum(parameter.numel() for parameter in original.model.parameters())
    rows = {"PyTorch": f"float32 | {parameters * 4 / 1e6:.0f} | |"}
    for runtime in RUNTIMES:
        for weights in WEIGHTS:
            target = folder / f"{Path(model).name}-{runtime}-{weights}"
            if not target.exists():
                export(model, target, runtime, weights)
            way = f"{runtime} {weights}"
            engines[way] = Engine.load(target)
            parity = compare(original, engines[way], image)
            error = f"{parity.largest_error:.1e} of {parity.largest_logit:.3g}"
            rows[way] = f"{weights} | {megabytes(target):.0f} | {error} | {parity.equal_tokens} of {parity.tokens}"
    first: dict[str, list[float]] = {way: [] for way in engines}
    each: dict[str, list[float]] = {way: [] for way in engines}
    for turn in range(repetitions + 1):  # the first is not counted
        for way, engine in engines.items():
            prompt = cpu_ms(engine, inputs, 1)
            answer = cpu_ms(engine, inputs, NEW_TOKENS)
            if turn:
                first[way].append(prompt)
                each[way].append((answer - prompt) / (NEW_TOKENS - 1))
    for way, row in rows.items():
        times = f"{statistics.median(first[way]):.0f} | {statistics.median(each[way]):.1f}"
        print(f"| {Path(model).name} | {way.split()[0]} | {row} | {times} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where exported models are kept")
    parser.add_argument("models", nargs="+", help="names or folders")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"{options.threads} thread(s); torch {torch.__version__}\n")
    print(
        "| model | runtime | weights | MB | largest error of a logit | equal tokens | first token, ms | per token, ms |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for model in options.models:
        measure(model, options.folder, options.repetitions)


if __name__ == "__main__":
    main()
