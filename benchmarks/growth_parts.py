"""What `growth.py` measures: for each part its sizes, the operations counted for each size, and how it is measured."""

import asyncio
import ctypes
import gc
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from damaged_data import encoded, fabricate, image

from minigemini.io.system import peak_resident_bytes, reset_peak_resident

LAYERS, WIDTH, INNER, VOCABULARY = 6, 256, 688, 2048
"""Of nano's language model."""
WEIGHTS = 5_270_784
"""Parameters of nano's language model."""
IMAGE_TOKENS = 64
"""Visual tokens of an image."""
PROMPT_TOKENS = 73
"""Tokens of a prompt with one image and a short question."""
RATES = 60e9, 15e9
"""FLOP and bytes a second of one busy core; only where one of them bounds a step."""
MEASURED_SECONDS = 0.4
"""How long a call is repeated; the fastest counts."""
CLIENT_SECONDS = 6.0

Values = dict[str, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Series:
    """A quantity that grows, and what counting says about it.

    Attributes:
        name: what is measured.
        unit: "s" or "MB".
        counted: what is counted, in words.
        count: the operations or bytes for a size, up to a constant factor.
    """

    name: str
    unit: str
    counted: str
    count: Callable[[float], float]


@dataclass(frozen=True)
class Part:
    """Quantities that depend on one size.

    Attributes:
        name: on the command line.
        title, x_label: of the plot.
        sizes: ascending.
        series: the quantities.
        prepared: yields a function from a size to values by name of the series; a series may lack some.
    """

    name: str
    title: str
    x_label: str
    sizes: Sequence[int]
    series: Sequence[Series]
    prepared: Callable[[], AbstractContextManager[Callable[[int], Values]]]


def linear(size: float) -> float:
    return size


def constant(size: float) -> float:
    return 1.0


def flops_of_prompt(tokens: float) -> float:
    """Of reading a prompt: 2 per weight and token, and attention with 4 · tokens² · width in each layer."""
    return 2 * WEIGHTS * tokens + 4 * LAYERS * tokens**2 * WIDTH


def seconds_of_step(rows: float, columns: float) -> float:
    """Of appending a token to rows of so many columns: weights are read once, the cache is read and copied per row.

    Transformers' `DynamicCache` concatenates: it reads and writes all columns, and attention reads them again.
    """
    cache = rows * 2 * LAYERS * columns * WIDTH
    return max(rows * 2 * WEIGHTS / RATES[0], 4 * WEIGHTS / RATES[1]) + 3 * 4 * cache / RATES[1]


def seconds(call: Callable[[], Any]) -> float:
    """Processor time of the fastest of at least three calls."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < MEASURED_SECONDS:
        times.append(once(call))
    return min(times)


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


def once(call: Callable[[], Any]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


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


def share_of_answer(count: float) -> float:
    """CPU of an answer: its image is encoded and read alone, 38 ms; 8 tokens, of which at most 8 rows share 2.8 ms."""
    return 38 + 8 * 2.8 / min(count, 8)


PARTS = {
    part.name: part
    for part in (
        Part(
            "images",
            "One image: pixels of the file",
            "pixels",
            (2**18, 2**20, 2**22, 2**24, 2**25),
            (
                Series("decode", "s", "each pixel once", linear),
                Series("preprocess", "s", "each pixel once, and 256² of the model's", lambda pixels: pixels + 2**16),
                Series("encode", "s", "always 256² and 64² pixels", constant),
                Series("memory", "MB", "4 bytes a pixel, twice", linear),
            ),
            images,
        ),
        Part(
            "prompts",
            "Images in a prompt, or turns with one each",
            "images",
            (1, 2, 4, 8, 16),
            (
                Series("prepare", "s", "each image once", linear),
                Series("encode", "s", "each image once", linear),
                Series(
                    "read",
                    "s",
                    "2 FLOP per weight and token, attention tokens²",
                    lambda count: flops_of_prompt(9 + IMAGE_TOKENS * count),
                ),
                Series("render turns", "s", "each turn once", linear),
                Series("memory", "MB", "feature maps and states of each image", linear),
            ),
            prompts,
        ),
        Part(
            "text",
            "Tokens of a text",
            "tokens",
            (128, 256, 512, 1024, 2048, 4096),
            (
                Series("tokenize", "s", "each character once", linear),
                Series("read", "s", "2 FLOP per weight and token, attention tokens²", flops_of_prompt),
                Series(
                    "next token",
                    "s",
                    "bytes of weights once, of the cache three times",
                    lambda n: seconds_of_step(1, n),
                ),
                Series("stream the text", "s", "16 to 32 tokens decoded for each", linear),
                Series("memory", "MB", "states and cache of each token", linear),
            ),
            text,
        ),
        Part(
            "batch",
            "Rows of a batch, each with an image",
            "rows",
            (1, 2, 4, 8, 16),
            (
                Series("read", "s", "each row once", linear),
                Series(
                    "next token",
                    "s",
                    "weights once, 2 FLOP per weight and row",
                    lambda rows: seconds_of_step(rows, PROMPT_TOKENS),
                ),
                Series("train", "s", "each row once, forward and backward", linear),
                Series("pack 100 each", "s", "n log² n", lambda rows: rows * math.log(100 * rows) ** 2),
                Series("memory", "MB", "states of each row for the backward pass", linear),
            ),
            batch,
        ),
        Part(
            "data",
            "Records of a data set",
            "records",
            (1_000, 10_000, 100_000, 1_000_000),
            (
                Series("open", "s", "each byte once", linear),
                Series("order an epoch", "s", "n log n", lambda n: n * math.log(n)),
                Series("first batch", "s", "open, order, and 16 samples (0.1 s)", lambda n: 8.5e-6 * n + 0.1),
                Series("256 random records", "s", "does not depend on the others", constant),
                Series("memory", "MB", "60 bytes a record: reader, mixture", lambda n: 60 * n),
                Series("validate", "s", "each record once, and 32 images (0.1 s)", lambda n: 90e-6 * n + 0.1),
            ),
            data,
        ),
        Part(
            "clients",
            "Clients of the server",
            "clients",
            (1, 2, 4, 8, 32, 128),
            (
                Series("CPU of an answer", "s", "image alone, tokens shared by 8 rows", share_of_answer),
                Series(
                    "time of an answer, median",
                    "s",
                    "clients times CPU of an answer (Little's law)",
                    lambda count: count * share_of_answer(count),
                ),
                Series("between two answers", "s", "CPU of an answer", share_of_answer),
                Series("memory", "MB", "does not depend on clients: 8 rows", constant),
            ),
            clients,
        ),
    )
}
