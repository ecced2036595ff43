"""A folder that comes from anywhere: its files are regular and small enough, its numbers can be those of a model.

Checked before a library sees any of it, because libraries believe what they read: a config with 10**30 layers is built
until memory ends, and a pipe among the files is waited for.
"""

import json
import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .errors import CheckpointError, one_line

if TYPE_CHECKING:
    from torch import Tensor, nn

_MOST_BYTES = {".jinja": 2**17, ".md": 2**22, ".txt": 2**26, ".model": 2**26, ".json": 2**22}
"""Largest file by its ending; weights are bounded by the disk."""
_MOST_JSON_BYTES = 2**26
"""Of vocabularies and indexes, which grow with the model."""
_LONG_JSON = re.compile(r"(tokenizer|vocab|added_tokens|special_tokens_map)\.json|.*\.index\.json")
_MOST_DEPTH = 64
_MOST_DIGITS = 40
"""Transformers writes 10**30 as the length of a tokenizer without a limit."""
_MOST_COUNT = 1_000_000
_MOST_NUMBER = 2**53
_MOST_SIDE_PX = 8192
_COUNT = re.compile(r"(^|_)(num|n)_|layers?(_|$)|depth|experts|blocks")
"""Keys of a config whose number something is repeated by."""
_SIDE = re.compile(r"(^|_)(image|high_res|grid|patch|crop)_size$|^(height|width|shortest_edge|longest_edge)$")
_LARGEST_BUFFER = 2**26


class TokenizerError(ValueError):
    """A tokenizer that gave up on a text."""


class _Stored(Protocol):
    @property
    def dtype(self) -> Any: ...  # safetensors' name of it, or torch's
    @property
    def shape(self) -> tuple[int, ...]: ...


def check_files(folder: Path) -> None:
    """Check that a folder holds nothing but regular files and folders, and no description too large to be one.

    Raises:
        CheckpointError: It does not; nothing in it was opened.
    """
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(root, name) for name in names):
            try:
                found = path.stat()  # of what a link points at: a hub's cache is made of links
            except OSError as error:
                raise CheckpointError(f"{path}: cannot be read ({one_line(error)}); remove or copy it") from None
            if not stat.S_ISREG(found.st_mode):
                raise CheckpointError(f"{path}: not a regular file, so it is not opened; remove it")
            most = _most_bytes(path)
            if most is not None and found.st_size > most:
                raise CheckpointError(
                    f"{path}: has {found.st_size:,} bytes, but a file of this kind has at most {most:,}; fetch it again"
                )


def check_file(path: Path) -> None:
    """The same for one file.

    Raises:
        CheckpointError: It is a pipe, a device or a folder.
    """
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path}: not a regular file, so it is not opened; name another")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a description; `what` begins the error.

    Raises:
        CheckpointError: It is missing, too large, nested too deeply, holds absurd numbers, or is no JSON object.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise CheckpointError(f"{what}: {path.name} is not a regular file; remove it")
        if found.st_size > (_most_bytes(path) or _MOST_JSON_BYTES):
            raise CheckpointError(f"{what}: {path.name} has {found.st_size:,} bytes, too many for a description")
        content = json.loads(path.read_text(encoding="utf-8"), parse_int=_parse_int)
        _check_depth(content)
    except FileNotFoundError:
        raise CheckpointError(f"{what}: no {path.name} in it; name the folder that holds one") from None
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{what}: {path.name} cannot be read ({one_line(error)}); copy or fetch it again"
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{what}: {path.name} holds a {type(content).__name__}, not an object")
    return content


def check_numbers(config: Mapping[str, Any], name: str) -> None:
    """Check that the numbers of a config can be those of a model.

    Whether it has as many layers as the weights is seen when it is built, see `bounded_build`.

    Raises:
        CheckpointError: Names the field and its bound.
    """
    for key, number in _numbers(config):
        most = _MOST_COUNT if _COUNT.search(key) else _MOST_SIDE_PX if _SIDE.search(key) else _MOST_NUMBER
        if abs(number) > most:
            raise CheckpointError(f"{name}: config.json has {key} {number}, beyond {most:,}; copy or fetch it again")


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise what Rust's tokenizers give up on (a regular expression that takes too long) as a `TokenizerError`."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3 does not export it, and it is no Exception
            raise
        raise TokenizerError(f"the tokenizer gave up ({one_line(Exception(error))})") from None


@contextmanager
def bounded_build(tensors: Mapping[str, _Stored], name: str) -> Iterator[None]:
    """Let a model be built that is not much larger than the weights that are stored for it.

    Args:
        tensors: what the headers of its files say.
        name: of the checkpoint, for the error.

    Raises:
        CheckpointError: The config asks for more; building ends where it does.
    """
    from torch.nn.modules import module as modules  # torch takes a second to import; a listing needs none

    stored = sum(prod(tensor.shape) * (2 if tensor.dtype in ("U8", "I8") else 1) for tensor in tensors.values())
    most_numbers, most_tensors = 2 * stored + 2**20, 2 * len(tensors) + 100
    thread, count, numbers = threading.get_ident(), 0, 0

    def register(_module: "nn.Module", parameter_name: str, parameter: "Tensor | None") -> None:
        nonlocal count, numbers
        # Built without memory; what replaces them later has the sizes of the files.
        if parameter is None or not parameter.is_meta or threading.get_ident() != thread:
            return
        count, numbers = count + 1, numbers + parameter.numel()
        if count > most_tensors or numbers > most_numbers:
            raise CheckpointError(
                f"{name}: config.json describes a larger model than the {len(tensors):,} tensors of {stored:,} numbers "
                f"that are stored (at a parameter {parameter_name} of {parameter.numel():,}); use the config.json "
                "saved with them"
            )

    def register_buffer(_module: "nn.Module", buffer_name: str, buffer: "Tensor | None") -> None:
        if buffer is not None and threading.get_ident() == thread and buffer.numel() > _LARGEST_BUFFER:
            raise CheckpointError(
                f"{name}: config.json asks for a table {buffer_name} of {buffer.numel():,} numbers, more than "
                f"{_LARGEST_BUFFER:,}; use the config.json saved with the weights"
            )

    hooks = (
        modules.register_module_parameter_registration_hook(register),
        modules.register_module_buffer_registration_hook(register_buffer),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _most_bytes(path: Path) -> int | None:
    return _MOST_JSON_BYTES if _LONG_JSON.fullmatch(path.name) else _MOST_BYTES.get(path.suffix)


def _parse_int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _check_depth(content: Any) -> None:
    """Raises `ValueError` for what is nested deeper than any description; level by level, so that it cannot recurse."""
    level, depth = [content], 0
    while level:
        if depth > _MOST_DEPTH:
            raise ValueError(f"nested deeper than {_MOST_DEPTH} levels")
        inner = [item for item in level if isinstance(item, dict | list)]
        level = [value for item in inner for value in (item.values() if isinstance(item, dict) else item)]
        depth += 1


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """All integers of a config with the key that they, or the list they are in, stand under."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value
