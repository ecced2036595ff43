"""Limits on untrusted checkpoint folders: regular files of bounded size, and plausible numbers in configs.

These are checked before any library reads the files, because libraries trust their input: a config with 10**30 layers
is built until memory runs out, and a named pipe blocks forever.
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

_MAX_BYTES = {".jinja": 2**17, ".md": 2**22, ".txt": 2**26, ".model": 2**26, ".json": 2**22}
"""Maximum file size in bytes by suffix; weights are limited by the disk only."""
_MAX_JSON_BYTES = 2**26
"""Maximum size of vocabularies and weight indexes, which grow with the model."""
_LONG_JSON = re.compile(r"(tokenizer|vocab|added_tokens|special_tokens_map)\.json|.*\.index\.json")
_MAX_DEPTH = 64
_MAX_DIGITS = 40
"""Transformers stores 10**30 as the maximum length of a tokenizer without a limit."""
_MAX_COUNT = 1_000_000
_MAX_NUMBER = 2**53
_MAX_SIDE_PX = 8192
_COUNT = re.compile(r"(^|_)(num|n)_|layers?(_|$)|depth|experts|blocks")
"""Config keys whose value is a number of repetitions."""
_SIDE = re.compile(r"(^|_)(image|high_res|grid|patch|crop)_size$|^(height|width|shortest_edge|longest_edge)$")
_MAX_BUFFER_NUMBERS = 2**26


class TokenizerError(ValueError):
    """The tokenizer failed on a text."""


class _Stored(Protocol):
    @property
    def dtype(self) -> Any: ...  # name in safetensors, or torch.dtype
    @property
    def shape(self) -> tuple[int, ...]: ...


def check_files(folder: Path) -> None:
    """Check that a folder contains only regular files and folders, and no oversized config files. Opens none of them.

    Raises:
        CheckpointError: A file is not regular, or too large.
    """
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(root, name) for name in names):
            try:
                found = path.stat()  # follows links, which the hub cache consists of
            except OSError as error:
                raise CheckpointError(f"{path}: cannot be read ({one_line(error)}); remove or copy it") from None
            if not stat.S_ISREG(found.st_mode):
                raise CheckpointError(f"{path}: not a regular file, so it is not opened; remove it")
            most = _max_bytes(path)
            if most is not None and found.st_size > most:
                raise CheckpointError(
                    f"{path}: has {found.st_size:,} bytes, but a file of this kind has at most {most:,}; fetch it again"
                )


def check_file(path: Path) -> None:
    """Check that a path is a regular file if it exists.

    Raises:
        CheckpointError: It is a pipe, a device or a folder.
    """
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path}: not a regular file, so it is not opened; name another")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object; `what` is the first part of errors.

    Raises:
        CheckpointError: The file is missing, too large, nested too deeply, has huge numbers, or is not a JSON object.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise CheckpointError(f"{what}: {path.name} is not a regular file; remove it")
        if found.st_size > (_max_bytes(path) or _MAX_JSON_BYTES):
            raise CheckpointError(f"{what}: {path.name} has {found.st_size:,} bytes, too many for a config")
        content = json.loads(path.read_text(encoding="utf-8"), parse_int=_parse_int)
        _check_depth(content)
    except FileNotFoundError:
        raise CheckpointError(f"{what}: no {path.name}; name a folder that has one") from None
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{what}: {path.name} cannot be read ({one_line(error)}); copy or fetch it again"
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{what}: {path.name} contains a {type(content).__name__}, not an object")
    return content


def check_numbers(config: Mapping[str, Any], name: str) -> None:
    """Check that the numbers of a config are plausible.

    `bounded_build` checks that the model is not much larger than the stored weights.

    Raises:
        CheckpointError: A number is too large; the message names the field and its limit.
    """
    for key, number in _numbers(config):
        most = _MAX_COUNT if _COUNT.search(key) else _MAX_SIDE_PX if _SIDE.search(key) else _MAX_NUMBER
        if abs(number) > most:
            raise CheckpointError(f"{name}: config.json has {key} {number}, more than {most:,}; copy or fetch it again")


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Convert panics of Rust tokenizers, such as regular expressions that take too long, to `TokenizerError`."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3 does not export it, and it is not an Exception
            raise
        raise TokenizerError(f"the tokenizer failed ({one_line(Exception(error))})") from None


@contextmanager
def bounded_build(tensors: Mapping[str, _Stored], name: str, copies: int = 2) -> Iterator[None]:
    """Limit the size of a model that is built in the block to little more than the stored weights.

    Args:
        tensors: The stored tensors, from the headers of the files.
        name: The name of the checkpoint, for errors.
        copies: How often each stored number may be registered, for example in a tied head.

    Raises:
        CheckpointError: The config describes a larger model; building stops at the limit.
    """
    from torch.nn.modules import module as modules  # torch takes a second to import and is not always needed

    stored = sum(prod(tensor.shape) * (2 if tensor.dtype in ("U8", "I8") else 1) for tensor in tensors.values())
    max_numbers, max_tensors = copies * stored + 2**20, copies * len(tensors) + 100
    thread, count, numbers = threading.get_ident(), 0, 0

    def register(_module: "nn.Module", parameter_name: str, parameter: "Tensor | None") -> None:
        nonlocal count, numbers
        # Only parameters on the meta device; those that replace them have the stored sizes.
        if parameter is None or not parameter.is_meta or threading.get_ident() != thread:
            return
        count, numbers = count + 1, numbers + parameter.numel()
        if count > max_tensors or numbers > max_numbers:
            raise CheckpointError(
                f"{name}: config.json describes a larger model than the {len(tensors):,} tensors of {stored:,} numbers "
                f"that are stored (at a parameter {parameter_name} of {parameter.numel():,}); use the config.json "
                "saved with them"
            )

    def register_buffer(_module: "nn.Module", buffer_name: str, buffer: "Tensor | None") -> None:
        if buffer is not None and threading.get_ident() == thread and buffer.numel() > _MAX_BUFFER_NUMBERS:
            raise CheckpointError(
                f"{name}: config.json describes a buffer {buffer_name} of {buffer.numel():,} numbers, more than "
                f"{_MAX_BUFFER_NUMBERS:,}; use the config.json saved with the weights"
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


def _max_bytes(path: Path) -> int | None:
    return _MAX_JSON_BYTES if _LONG_JSON.fullmatch(path.name) else _MAX_BYTES.get(path.suffix)


def _parse_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _check_depth(content: Any) -> None:
    """Raise `ValueError` if the nesting is too deep; iterates over levels to avoid recursion."""
    level, depth = [content], 0
    while level:
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
        inner = [item for item in level if isinstance(item, dict | list)]
        level = [value for item in inner for value in (item.values() if isinstance(item, dict) else item)]
        depth += 1


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Yield all integers of a config with their key, or that of the list they are in."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value
