"""Build recipes: a mixture of the paper, a file of samples, or a TOML file.

name = "my-mix"
seed = 3

[[part]]
source = "docvqa"                # a declared source

[[part]]
file = "mine.json"               # or any format that training reads; relative to the TOML file
images = "pictures"
weight = 2.0                     # passes over the part; or `samples = 5000`
licence = "CC-BY-4.0"
"""

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ...data.mixture import Mixture, Part
from ...data.readers import Reader, SourceError, lacks_images, open_reader
from ...data.readers.opening import image_root_of
from ..formats import open_source
from ..sources import MIXTURES, SOURCES, find_source


class BuildError(ValueError):
    """A recipe cannot be built; the message is one line with the fix."""


@dataclass(frozen=True)
class BuildPart:
    """A part of a recipe, with either `source` or `file`.

    Attributes:
        source: name of a declared source.
        file, images: a file of samples, and the folder that image paths are relative to.
        weight: passes over the part.
        samples: number of samples, instead of a weight.
        licence: license of samples that have none.
        name: name in the dataset card.
    """

    source: str = ""
    file: str = ""
    images: str | None = None
    weight: float = 1.0
    samples: int | None = None
    licence: str = ""
    name: str = ""


@dataclass(frozen=True)
class BuildRecipe:
    """A recipe of a dataset.

    Attributes:
        name: name of the dataset.
        parts: its parts.
        seed: seed of the order and of random selections.
    """

    name: str
    parts: tuple[BuildPart, ...]
    seed: int = 0

    def open(self, data: Path) -> tuple[Mixture, Path]:
        """Open all parts, and return the mixture and the common folder of all images.

        Args:
            data: the data folder, for declared sources.

        Raises:
            BuildError: Parts cannot be read; the message names all of them.
        """
        parts, wrong, roots = [], [], []
        data = Path(os.path.abspath(data))
        for part in self.parts:
            try:
                parts.append(Part(self._reader(part, data), part.weight, part.samples))
                roots += self._roots(part, data)
            except (SourceError, ModuleNotFoundError) as error:
                wrong.append(str(error))
        if wrong:
            raise BuildError("; ".join(wrong) + (" (or exclude parts with --without)" if len(self.parts) > 1 else ""))
        try:
            return Mixture(parts, self.seed), Path(os.path.commonpath(roots) if roots else data)
        except ValueError as error:
            raise BuildError(f"{self.name}: {error}") from None

    def without(self, names: Sequence[str]) -> "BuildRecipe":
        """Copy of the recipe without some parts.

        Raises:
            BuildError: A part does not exist, or no part remains.
        """
        own = {part.source or part.name for part in self.parts}
        if unknown := sorted(set(names) - own):
            raise BuildError(f"{self.name} has no part {unknown[0]!r}; it has {', '.join(sorted(own))}")
        left = tuple(part for part in self.parts if (part.source or part.name) not in names)
        if not left:
            raise BuildError(f"{self.name} has no part left without {', '.join(names)}")
        return replace(self, parts=left)

    def _reader(self, part: BuildPart, data: Path) -> Reader:
        if part.source:
            return open_source(find_source(part.source), data, self.seed)
        # Absolute, because workers may have another working directory.
        images = None if part.images is None else Path(os.path.abspath(part.images))
        reader = open_reader(Path(os.path.abspath(part.file)), images, part.name)
        if images is None and lacks_images(reader):
            raise SourceError(
                f"{part.file} names images by relative paths: give --images FOLDER, the folder that they are relative "
                "to (in TOML, images of the part)"
            )
        return reader

    def _roots(self, part: BuildPart, data: Path) -> list[str]:
        if part.source:
            return [] if SOURCES[part.source].images is None else [str(data)]
        images = part.images or image_root_of(Path(os.path.abspath(part.file)))
        return [] if images is None else [os.path.abspath(images)]


def read_recipe(name: str, images: Path | None = None, seed: int = 0) -> BuildRecipe:
    """Read a recipe from the name of a mixture, a TOML file, or a file of samples.

    Args:
        name: name or path.
        images: folder of images, for a file of samples.
        seed: seed, for a mixture or a file of samples; a TOML file has its own.

    Raises:
        BuildError: The recipe does not exist or is invalid.
    """
    if name in MIXTURES:
        return BuildRecipe(name, tuple(BuildPart(source=source) for source in MIXTURES[name]), seed)
    path = Path(name)
    if not path.exists():
        raise BuildError(f"{name}: neither a file nor a mixture; mixtures are {', '.join(MIXTURES)}")
    if path.suffix != ".toml":
        part = BuildPart(file=name, images=str(images) if images else None, name=path.stem)
        return BuildRecipe(path.stem, (part,), seed)
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} is not TOML: {error}") from None
    if unknown := set(written) - {"name", "seed", "part"}:
        raise BuildError(f"{path}: unknown {', '.join(sorted(unknown))}; expected name, seed and [[part]]")
    listed = written.get("part")
    parts = tuple(_part(path, n, values) for n, values in enumerate(listed, 1)) if isinstance(listed, list) else ()
    if not parts or not isinstance(written.get("seed", 0), int):
        raise BuildError(f"{path}: give at least one [[part]], and an integer as seed")
    return BuildRecipe(str(written.get("name", path.stem)), parts, written.get("seed", seed))


def _part(path: Path, number: int, values: Any) -> BuildPart:
    kinds = {field.name: field.type for field in fields(BuildPart)}
    if not isinstance(values, dict) or (unknown := set(values) - set(kinds)):
        raise BuildError(f"{path}: part {number} has unknown {', '.join(sorted(unknown))}; expected {', '.join(kinds)}")
    number_kinds = {"weight": (int, float), "samples": int}
    for name, value in values.items():
        if not isinstance(value, number_kinds.get(name, str)) or isinstance(value, bool):  # type: ignore[arg-type]
            raise BuildError(f"{path}: part {number}: {name} = {value!r} has the wrong type")
        if name in number_kinds and not 0 < value < float("inf"):
            raise BuildError(f"{path}: part {number}: {name} = {value!r}: must be above 0")
    if bool(values.get("source")) == bool(values.get("file")):
        raise BuildError(f"{path}: part {number}: give either a source or a file")
    if values.get("source") and values["source"] not in SOURCES:
        raise BuildError(f"{path}: part {number}: unknown source {values['source']!r}; see `minigemini data list`")
    part = BuildPart(**values)
    if part.source:
        return part
    under = {name: str(path.parent / value) for name in ("file", "images") if (value := getattr(part, name))}
    return replace(part, **under, name=part.name or Path(part.file).stem)  # type: ignore[arg-type]
