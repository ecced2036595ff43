"""Data at full size: counts of the sources, 1.5 million records, damage, decoding, speed of the loader.

    python benchmarks/data.py counts          # every source at its published size, index-only records: minutes
    python benchmarks/data.py scale           # 1.5M records over 3,000 images, validated and built: half an hour
    python benchmarks/data.py damage          # 100K records with 1 % and 10 % damaged
    python benchmarks/data.py decoding pace   # images to tensors; whether a step of nano waits for data

Times are seconds of the processor, of one process each: on a shared machine those of the clock tell what else it did.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import native_files
from damaged_data import encoded, fabricate, image

from minigemini.dataprep.formats import open_source
from minigemini.dataprep.sources import MIXTURES, SOURCES

RECORDS, IMAGES = 1_500_000, 3_000


def cpu_seconds() -> float:
    return time.process_time()


def counts(folder: Path) -> None:
    """Fabricate each source at the size that its publishers state, and count what the rules leave."""
    fabricated: dict[str, Callable[[], None]] = {
        "llava-pretrain": lambda: native_files.llava_pretrain(folder, 558_128),
        "allava-captions": lambda: native_files.allava(folder, "allava-captions", 505_588, 202_552),
        "llava-mix665k": lambda: native_files.mix665k(folder),
        "sharegpt4v": lambda: native_files.sharegpt4v(folder, 102_025),
        "laion-gpt4v": lambda: native_files.laion_gpt4v(folder, 12_356, dead=range(0, 12_356, 9)),
        "allava-instruct": lambda: native_files.allava(folder, "allava-instruct", 505_588, 203_065),
        "lima": lambda: native_files.lima(folder, 1_030),
        "oasst2": lambda: native_files.oasst2(folder, 5_500, others=8_354),
        "docvqa": lambda: native_files.docvqa(folder, 10_194),
        "chartqa": lambda: native_files.chartqa(folder, 3_699),
        "dvqa": lambda: native_files.dvqa(folder, 200_000),
        "ai2d": lambda: native_files.ai2d(folder, 4_903, test=982),
    }
    totals = dict.fromkeys(MIXTURES, 0)
    print(f"{'source':18}{'files hold':>12}{'samples':>10}  {'the paper':24}seconds")
    for name, write in fabricated.items():
        write()
        begun = cpu_seconds()
        reader = open_source(SOURCES[name], folder)
        held = SOURCES[name].available
        took = cpu_seconds() - begun
        shown = "" if held is None else f"{held:,}"
        print(f"{name:18}{shown:>12}{len(reader):>10,}  {SOURCES[name].paper:24}{took:.1f}", flush=True)
        for mixture, parts in MIXTURES.items():
            totals[mixture] += len(reader) * (name in parts)
        assert len(reader) == SOURCES[name].samples, name
        for file in SOURCES[name].records:
            (folder / file.path).unlink()
    totals["MGM-Instruction"] += 13_000  # the generation set is made, not read
    print(", ".join(f"{name} {count:,}" for name, count in totals.items()))


def child(*words: str) -> tuple[float, float, str]:
    """Run a verb; return CPU seconds, peak memory in MiB, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = "from minigemini.cli import main; main()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program, "data", *words], capture_output=True, text=True, check=True, env=environment
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, after.ru_maxrss / 1024, done.stdout


def scale(folder: Path) -> None:
    """Examine and build a list as long as the paper's."""
    fabricate(folder, RECORDS, IMAGES, 0.001)
    path, images = str(folder / "set.json"), str(folder / "pictures")
    print(f"{RECORDS:,} records, {os.path.getsize(path) / 2**20:,.0f} MiB, {IMAGES:,} pictures", flush=True)
    fix = str(folder / "set.manifest")
    spent, peak, output = child("doctor", path, "--images", images, "--fix", fix)
    print(f"doctor: {spent:,.0f} s, {peak:,.0f} MiB\n{output}", flush=True)
    spent, peak, output = child("build", fix, str(folder / "built"), "--reference")
    print(f"build: {spent:,.0f} s, {peak:,.0f} MiB\n{output}", flush=True)
    begun = cpu_seconds()
    from minigemini.data.readers import open_reader

    rows = len(open_reader(folder / "built"))
    print(f"opened: {rows:,} samples in {cpu_seconds() - begun:.1f} s")


def damage(folder: Path) -> None:
    """Damage a share of 100K records; all of it is found, and the rest keeps its order."""
    from minigemini.data.readers import open_reader

    for share in (0.01, 0.1):
        part = folder / f"{share}"
        part.mkdir()
        kinds = fabricate(part, 100_000, 500, share)
        path, images = str(part / "set.json"), str(part / "pictures")
        found, fix = part / "found.json", str(part / "set.manifest")
        spent, peak, _ = child("doctor", path, "--images", images, "--json", str(found), "--fix", fix)
        finds = json.loads(found.read_text())["finds"]
        assert {find["row"]: find["kind"] for find in finds} == kinds
        assert all(find["id"] and find["reason"] for find in finds)
        reader = open_reader(Path(fix))
        left = [reader[row].id for row in range(len(reader))]
        assert left == [f"s{n}" for n in range(100_000) if n not in kinds]
        print(
            f"{share:.0%}: {len(kinds):,} damaged, all found and classified correctly, {spent:.0f} s, {peak:.0f} MiB",
            flush=True,
        )


def decoding(folder: Path) -> None:
    """Images to training tensors: straightforward, with our code, and with scaled decoding."""
    import minigemini_models.nano
    from minigemini.images.safe_images import open_image
    from minigemini.modeling import MiniGeminiImageProcessor

    assert minigemini_models.nano
    torch.set_num_threads(1)
    print(f"{'image':14}{'HR':>6}{'plain PIL':>11}{'ours':>9}{'scaled':>9}  times  mean and largest error in 255ths")
    for width, height in ((640, 480), (1600, 1200), (2250, 1500), (3200, 2400)):
        data = encoded(_photograph(width, height), quality=90)
        for low, high in ((336, 768), (672, 1536)):
            processor = MiniGeminiImageProcessor(size=low, high_res_size=high)
            ways = {
                "plain": lambda data=data, p=processor: _plain(data, p),
                "ours": lambda data=data, p=processor: p(open_image(data), return_tensors="pt"),
                "scaled": lambda data=data, p=processor, px=high: p(
                    open_image(data, at_least_px=px), return_tensors="pt"
                ),
            }
            took = _fastest(ways)
            std = np.array(processor.image_std)[:, None, None] * 255
            error = (
                np.abs((ways["ours"]()["high_res_pixel_values"] - ways["scaled"]()["high_res_pixel_values"])[0].numpy())
                * std
            )
            plain, ours, fast = (1e3 * took[name] for name in ("plain", "ours", "scaled"))
            shape = f"{width} x {height}"
            print(f"{shape:14}{high:>6}{plain:>9.0f}ms{ours:>7.0f}ms{fast:>7.0f}ms{plain / fast:>7.2f}", end="")
            print(f"  {error.mean():.2f} {error.max():.1f}", flush=True)


def _photograph(width: int, height: int) -> Image.Image:
    """Large soft shapes and fine grain, as photographs have both."""
    soft = np.asarray(image(1, width, height), dtype=np.float32)
    middle = np.asarray(image(2, 99, 77).resize((width, height)), dtype=np.float32)
    grain = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(0.7 * soft + 0.3 * middle + grain, 0, 255).astype(np.uint8))


def _plain(data: bytes, processor: object) -> dict[str, torch.Tensor]:
    """Straightforward implementation: open, pad, resize, convert to an array, normalize."""
    from io import BytesIO

    mean, std = np.array(processor.image_mean), np.array(processor.image_std)  # type: ignore[attr-defined]
    high, low = processor.high_res_size["height"], processor.size["height"]  # type: ignore[attr-defined]
    opened = Image.open(BytesIO(data)).convert("RGB")
    side = max(opened.size)
    square = Image.new("RGB", (side, side), tuple(int(m * 255) for m in mean))
    square.paste(opened, ((side - opened.width) // 2, (side - opened.height) // 2))
    pixels = np.asarray(square.resize((high, high), Image.Resampling.BICUBIC)).astype(np.float32) / 255
    tensor = torch.from_numpy(((pixels - mean) / std).transpose(2, 0, 1)).float()[None]
    small = torch.nn.functional.interpolate(tensor, size=(low, low), mode="bilinear", align_corners=False)
    return {"pixel_values": small, "high_res_pixel_values": tensor}


def _fastest(ways: dict[str, Callable[[], object]], rounds: int = 12) -> dict[str, float]:
    """Seconds of the fastest of several rounds; all ways take turns, so that what else the machine does meets all."""
    took = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            begun = cpu_seconds()
            way()
            took[name] = min(took[name], cpu_seconds() - begun)
    return took


def pace(folder: Path) -> None:
    """A step of nano beside what its loader needs for the next batch, with one worker."""
    from minigemini.data.bad_samples import BadSampleLog
    from minigemini.data.encoding import SampleEncoder
    from minigemini.data.loader import Loader
    from minigemini.data.mixture import GlobalBatches, Mixture, Part
    from minigemini.data.packing import PackedCollator
    from minigemini.data.readers import open_reader
    from minigemini.inference import Engine

    torch.set_num_threads(1)
    child("build", str(_small_set(folder)), str(folder / "built"), "--images", str(folder / "pictures"))
    engine = Engine.load("nano", device="cpu")
    model, encoder = engine.model.train(), SampleEncoder(engine.processor)
    batches = GlobalBatches(Mixture([Part(open_reader(folder / "built"))]), 16, engine.processor.num_image_tokens)
    collator = PackedCollator(2048, engine.processor.tokenizer.pad_token_id or 0)

    def loader(workers: int) -> Loader:
        return Loader(batches, encoder, collator, BadSampleLog(folder / "faults.jsonl", 1.0), workers=workers)

    begun, count = cpu_seconds(), 12
    for _, _batch in zip(range(count), loader(0), strict=False):
        pass
    loading = (cpu_seconds() - begun) / (count + 1)  # one more is made than taken
    steps, waits, stepped = iter(loader(1)), [], []
    for _ in range(count):
        asked = time.perf_counter()
        batch = next(steps)
        waits.append(time.perf_counter() - asked)
        began, clock = cpu_seconds(), time.perf_counter()
        model(**batch, return_logits=False).loss.backward()
        stepped.append((cpu_seconds() - began, time.perf_counter() - clock))
    step, clock = np.median([cpu for cpu, _ in stepped]), np.median([wall for _, wall in stepped])
    print(f"a step of 16 samples: {step:.2f} s; its batch: {loading:.2f} s, {loading / step:.0%} of it")
    waited = np.array(waits[1:]) * 1e3
    print(
        f"by the clock: a step {clock:.2f} s, then a wait of {np.median(waited):.1f} ms, at most {waited.max():.1f} ms"
    )


def _small_set(folder: Path) -> Path:
    fabricate(folder, 400, 100, 0.0)
    for number in range(100):
        (folder / f"pictures/good/{number}.jpg").write_bytes(encoded(image(number, 640, 480), quality=90))
    return folder / "set.json"


PARTS = {part.__name__: part for part in (counts, scale, damage, decoding, pace)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; all of them by default")
    for name in parser.parse_args().parts or PARTS:
        with tempfile.TemporaryDirectory() as scratch:
            print(f"{name}: {PARTS[name].__doc__}", flush=True)
            PARTS[name](Path(scratch))


if __name__ == "__main__":
    main()
