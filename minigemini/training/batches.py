"""From a recipe's files to the batches of each optimiser step, cut into the passes that a device accumulates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..data.bad_samples import BadSampleLog
from ..data.encoding import SampleEncoder
from ..data.loader import Loader
from ..data.mixture import GlobalBatches, Mixture, Part
from ..data.packing import Batch, PackedCollator, PaddedCollator
from ..data.readers import Reader, SourceError, lacks_images, open_reader
from ..data.seed_loader import SeedLoader
from ..modeling import MiniGeminiProcessor
from ..plugins import plugins
from .recipe import DataPart, Recipe
from .settings import RecipeError


@dataclass(frozen=True)
class MicroBatchCollator:
    """A device's share of a global batch as `count` batches of about equally many samples, for as many passes."""

    collator: Callable[[Sequence[Any]], Batch]
    count: int

    def __call__(self, samples: Sequence[Any]) -> list[Batch]:
        """Cut and collate; where too many samples are faulty a batch has none, and teaches nothing."""
        ends = [len(samples) * n // self.count for n in range(self.count + 1)]
        return [self.collator(samples[start:end]) for start, end in pairwise(ends)]


class MicroBatchStream:
    """The passes of all steps one behind the other, without end. How far it has come is the loader's to say."""

    def __init__(self, loader: Loader | SeedLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Batch]:
        while True:
            for passes in self.loader:
                yield from passes  # type: ignore[misc]  # a loader gives what its collator does, here `Passes`


def is_synthetic(part: DataPart) -> bool:
    """Whether a plugin makes the samples, and no file holds them."""
    return part.file.partition(":")[0] in plugins("datasets")


def open_part(part: DataPart) -> Reader:
    """The reader of a file, of a manifest, of a folder of shards, or of what is drawn.

    Raises:
        RecipeError: It is not there, or not a source of samples.
    """
    if is_synthetic(part):
        open_dataset: Callable[[str], Reader] = plugins("datasets")[part.file.partition(":")[0]].load()
        return open_dataset(part.file)
    try:
        reader = open_reader(Path(part.file), Path(part.images) if part.images else None)
    except (SourceError, ImportError) as error:
        raise RecipeError(f"data {error}") from None
    if part.images is None and lacks_images(reader):
        raise RecipeError(
            f"data {part.file} names pictures by their paths, but not the folder that these start from: give "
            f"data={part.file}@FOLDER"
        )
    return reader


def open_mixture(recipe: Recipe) -> Mixture:
    """All files of a recipe as one.

    Raises:
        RecipeError: One of them cannot be read, or the weights leave nothing.
    """
    try:
        return Mixture([Part(open_part(part), part.weight) for part in recipe.data], recipe.seed)
    except RecipeError:
        raise
    except ValueError as error:
        raise RecipeError(f"{recipe.name}: data: {error}") from None


def global_batches(recipe: Recipe, mixture: Mixture, tokens_per_image: int) -> GlobalBatches:
    """The order of samples, by modality, and by length where rows are padded."""
    return GlobalBatches(mixture, recipe.global_batch, tokens_per_image, by_length=recipe.batching == "grouped")


def encoder_of(recipe: Recipe, processor: MiniGeminiProcessor) -> SampleEncoder:
    """What makes tensors of samples."""
    plain = recipe.chat_format == "plain"
    return SampleEncoder(
        processor, plain, max_length=recipe.max_length, too_long="truncate", scaled=recipe.scaled_decoding
    )


def make_loader(
    recipe: Recipe,
    batches: GlobalBatches,
    processor: MiniGeminiProcessor,
    issues: Path,
    *,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
) -> Loader:
    """The loader of one rank, whose batches are `Passes`."""
    pad: Any = processor.tokenizer.pad_token_id
    pad = processor.tokenizer.eos_token_id if pad is None else pad
    packed = recipe.batching == "packed"
    collator = PackedCollator(recipe.row_length or recipe.max_length, pad) if packed else PaddedCollator(pad)
    passes: Any = MicroBatchCollator(collator, recipe.accumulation(world_size))
    return Loader(
        batches,
        encoder_of(recipe, processor),
        passes,
        BadSampleLog(issues, recipe.max_bad_sample_ratio),
        rank=rank,
        world_size=world_size,
        workers=recipe.workers,
        pin_memory=pin_memory,
    )


def steps_of(recipe: Recipe, samples: int) -> int:
    """Optimiser steps of a run over an epoch of so many samples."""
    per_epoch = -(-samples // recipe.global_batch)
    return recipe.steps or max(1, round(per_epoch * recipe.epochs))
