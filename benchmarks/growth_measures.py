"""How `growth.py` measures each part: context managers that yield a function from a size to values by name."""

import asyncio
import ctypes
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from damaged_data import encoded, fabricate, image

from minigemini.io.system import peak_resident_bytes, reset_peak_resident

IMAGE_TOKENS = 64
"""Visual tokens of an image."""
MEASURED_SECONDS = 0.4
"""How long a call is repeated; the fastest counts."""
CLIENT_SECONDS = 6.0
"""How long the clients of a server ask it."""

Values = dict[str, float]
T = TypeVar("T")


def seconds(call: Callable[[], Any]) -> float:
    """Processor time of the fastest of at least three calls."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < MEASURED_SECONDS:
        times.append(once(call))
    return min(times)


def once(call: Callable[[], Any]) -> float:
    """Processor time of a call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def megabytes(call: Callable[[], Any]) -> float:
    """Memory that a call needs at its peak, beyond what the process holds before."""
    return measured_memory(call)[0]


def measured_memory(call: Callable[[], T]) -> tuple[float, T]:
    """The same, and what the call returns."""
    gc.collect()
    reset_peak_resident()
    before = peak_resident_bytes() or 0
    kept = call()
    return ((peak_resident_bytes() or 0) - before) / 2**20, kept


def settle() -> None:
    """One thread, and memory that is given back to the system as soon as it is freed."""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        threshold = -3  # M_MMAP_THRESHOLD of <malloc.h>; setting it also keeps it from growing
        ctypes.CDLL("libc.so.6").mallopt(threshold, 2**16)


def load_nano() -> Any:
    from minigemini.inference import Engine

    settle()
    return Engine.load("nano", device="cpu", dtype="float32")


@contextmanager
def images() -> Iterator[Callable[[int], Values]]:
    from minigemini.images.safe_images import open_image

    engine = load_nano()
    processor, model = engine.processor.image_processor, engine.model

    def measure(pixels: int) -> Values:
        height = round((pixels * 3 / 4) ** 0.5)
        data = encoded(image(1, round(pixels / height), height), quality=90)
        opened = open_image(data)
        inputs = processor(opened, return_tensors="pt")
        with torch.inference_mode():
            return {
                "decode": seconds(lambda: open_image(data)),
                "preprocess": seconds(lambda: processor(opened, return_tensors="pt")),
                "encode": seconds(lambda: model.get_image_features(**inputs)),
                "memory": megabytes(lambda: processor(open_image(data), return_tensors="pt")),
            }

    yield measure


@contextmanager
def prompts() -> Iterator[Callable[[int], Values]]:
    engine = load_nano()
    shown = image(1, 320, 240)
    text = {"type": "text", "text": "What is it?"}

    def conversation(turns: int) -> list[dict[str, Any]]:
        content = [{"type": "image", "image": shown}, text]
        pair = [{"role": "user", "content": content}, {"role": "assistant", "content": [text]}]
        return pair * turns

    def measure(count: int) -> Values:
        messages = [{"role": "user", "content": [{"type": "image", "image": shown}] * count + [text]}]
        inputs = engine.prompts.inputs(messages)
        pixels = {name: value for name, value in inputs.items() if name.endswith("pixel_values")}
        with torch.inference_mode():
            features = {"image": engine.model.get_image_features(**pixels)}
            read = {"input_ids": inputs["input_ids"], "mm_encoder_outputs": features, "logits_to_keep": 1}
            return {
                "prepare": seconds(lambda: engine.prompts.inputs(messages)),
                "encode": seconds(lambda: engine.model.get_image_features(**pixels)),
                "read": seconds(lambda: engine.model(**read, use_cache=True)),
                "render turns": seconds(lambda: engine.prompts.text(conversation(count)[:-1])),
                "memory": megabytes(lambda: engine.model(**{**inputs, "logits_to_keep": 1}, use_cache=True)),
            }

    yield measure


@contextmanager
def text() -> Iterator[Callable[[int], Values]]:
    from transformers import DynamicCache

    from minigemini.inference.incremental_decoding import IncrementalDecoder
    from minigemini.modeling.outputs import CACHE

    engine = load_nano()
    tokenizer = engine.processor.tokenizer

    def decode(ids: list[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def stream(ids: list[int]) -> None:
        decoder = IncrementalDecoder(decode)
        for token in ids:
            decoder.feed([token])

    def measure(tokens: int) -> Values:
        written = "The red boat is left of the house. " * tokens
        ids = torch.tensor([tokenizer(written, add_special_tokens=False)["input_ids"][:tokens]])
        cache = DynamicCache(config=engine.model.config)

        def step() -> None:
            engine.model(input_ids=ids[:, :1], use_cache=True, **{CACHE: cache})
            cache.crop(-1)

        with torch.inference_mode():
            engine.model(input_ids=ids, use_cache=True, logits_to_keep=1, **{CACHE: cache})
            return {
                "tokenize": seconds(lambda: tokenizer(written[: 4 * tokens])),
                "read": seconds(lambda: engine.model(input_ids=ids, use_cache=True, logits_to_keep=1)),
                "next token": seconds(step),
                "stream the text": seconds(lambda: stream(ids[0].tolist())),
                "memory": megabytes(lambda: engine.model(input_ids=ids, use_cache=True, logits_to_keep=1)),
            }

    yield measure


@contextmanager
def batch() -> Iterator[Callable[[int], Values]]:
    from transformers import DynamicCache

    from minigemini.data.packing import pack
    from minigemini.modeling.outputs import CACHE

    engine = load_nano()
    shown, model = image(1, 320, 240), engine.model
    asked = [{"type": "image", "image": shown}, {"type": "text", "text": "What is it?"}]
    one = engine.prompts.inputs([{"role": "user", "content": asked}])

    def measure(rows: int) -> Values:
        inputs = {name: torch.cat([value] * rows) for name, value in one.items()}
        cache = DynamicCache(config=model.config)

        def step() -> None:
            model(input_ids=inputs["input_ids"][:, :1], use_cache=True, **{CACHE: cache})
            cache.crop(-1)

        def train() -> None:
            model(**inputs, labels=inputs["input_ids"], return_logits=False).loss.backward()
            model.zero_grad()

        with torch.inference_mode():
            model(**inputs, use_cache=True, **{CACHE: cache})
            values = {
                "read": seconds(lambda: model(**inputs, logits_to_keep=1, use_cache=True)),
                "next token": seconds(step),
            }
        lengths = [40 + number * 37 % 60 for number in range(100 * rows)]
        memory = megabytes(train)
        return {
            **values,
            "train": seconds(train),
            "pack 100 each": seconds(lambda: pack(lengths, 130)),
            "memory": memory,
        }

    yield measure


@contextmanager
def data() -> Iterator[Callable[[int], Values]]:
    from minigemini.data.bad_samples import BadSampleLog
    from minigemini.data.encoding import SampleEncoder
    from minigemini.data.loader import Loader
    from minigemini.data.mixture import GlobalBatches, Mixture, Part
    from minigemini.data.packing import PackedCollator
    from minigemini.data.readers import Reader, open_reader
    from minigemini.dataprep.validate import validate

    engine = load_nano()
    encoder, collator = SampleEncoder(engine.processor), PackedCollator(1024, 0)

    def measure(records: int) -> Values:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            fabricate(folder, records, 32, 0.0)
            path, pictures = folder / "set.json", folder / "pictures"

            def mixture(reader: Reader) -> GlobalBatches:
                return GlobalBatches(Mixture([Part(reader, 0.5)] * 2), 16, IMAGE_TOKENS)

            def first_batch() -> Any:
                batches = mixture(open_reader(path, pictures))
                loader = Loader(batches, encoder, collator, BadSampleLog(folder / "issues.jsonl"))
                return next(iter(loader))

            def random_reads(reader: Reader) -> None:
                for row in range(0, len(reader), max(1, len(reader) // 256)):
                    reader[row]

            took: Values = {}

            def opened() -> tuple[Reader, GlobalBatches]:
                begun = time.process_time()
                reader = open_reader(path, pictures)
                took["open"] = time.process_time() - begun
                return reader, mixture(reader)

            memory, (reader, batches) = measured_memory(opened)
            values = {
                **took,
                "order an epoch": once(lambda: batches.epoch(1)),
                "first batch": once(first_batch),
                "256 random records": seconds(lambda: random_reads(reader)),
                "memory": memory,
            }
            if records <= 100_000:
                values["validate"] = once(lambda: validate(reader, quiet=True))
            return values

    yield measure


@contextmanager
def clients() -> Iterator[Callable[[int], Values]]:
    import serving

    with serving.server("--concurrency", "8", "--queue", "128") as served:
        asked = serving.requests(served, "different")
        asyncio.run(serving.answers_alone(served, asked[:2]))

        def measure(count: int) -> Values:
            unknown = [""] * len(asked)  # whether answers are right is for `serving.py`
            row = asyncio.run(serving.lean(served, asked, unknown, count, CLIENT_SECONDS))
            _, answers, rate, cpu, _, _, total, _, lost, _ = row
            if lost:
                raise RuntimeError(f"{lost} of {answers} answers were lost")
            values = {
                "CPU of an answer": cpu,
                "time of an answer, median": total,
                "between two answers": 1 / float(rate),
            }
            return {**{name: float(value) for name, value in values.items()}, "memory": serving.memory(served)}

        yield measure
