"""What `growth.py` measures: for each part its sizes, the operations counted for each size, and how it is measured."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from growth_measures import IMAGE_TOKENS, Values, batch, clients, data, images, prompts, text

LAYERS, WIDTH = 6, 256
"""Of nano's language model."""
WEIGHTS = 5_270_784
"""Parameters of nano's language model."""
PROMPT_TOKENS = 73
"""Tokens of a prompt with one image and a short question."""
RATES = 60e9, 15e9
"""FLOP and bytes a second of one busy core; only where one of them bounds a step."""


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
