"""Damaged and hostile checkpoints: any number, from a seed, each a small change of a valid one."""

import json
import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 7, 1.5, -0.5, 1e308, float("nan"), float("inf")),
    *(10**6, 2**31, 2**53, 10**18, 10**30, -(10**30)),
    *("", "x", "7", "cpu", "../../etc/passwd", "owner/name", "\x00", "x" * 10_000, "é\ud800"),
    *([], [None], [1, 2], ["x"], [[[]]], {}, {"a": 1}, {"a": {"a": {}}}),
]
TEMPLATES = [
    "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3,
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{{ 'x' * 10**10 }}",
    "{{ 'x' * 9999999999 }}",
    "{% set x = [0] * 9999999999 %}",
    "{{ 'x'.center(9999999999) }}",
    "{{ 'x'|center(9999999999) }}",
    "{{ '%9999999999d' % 1 }}",
    "{{ '{:9999999999}'.format(1) }}",
    "{{ 'x'|indent(9999999999, true) }}",
    "{{ messages|tojson(indent=9999999999) }}",
    "{{ 10**10**10 }}",
    "{{ (1).to_bytes(9999999999, 'big') }}",
    "{{ lipsum(9999999) }}",
    "{% set n = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[]) %}{% for i in range(60) %}{% set n.x = {'a': n.x, 'b': n.x} %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x|replace('x', 'xxxxxxxx') %}{% endfor %}",
    "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x.replace('x', 'xxxxxxxx') %}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
    "{% set b = range(99999)|join('xxxxxx') %}{% set c = range(99999)|map('replace', '1', b)|list %}",
    "{{ range(99999)|join(range(99999)|join('x')) }}",
    "{% for x in [[[1]]] recursive %}{{ loop([x, x]) }}{% endfor %}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{{ 1 + 'a' }}",
    "{{ nothing.at.all }}",
    "{{ raise_exception('no') }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ messages[99] }}",
    "{% for m in messages %}{{ m.content }}",
    "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    "{% if 1 %}" * 2000 + "{% endif %}" * 2000,
    "{{ " + "9" * 9999 + " }}",
    " " * 120_000,
    "x" * 10**7,
    "",
    "<image>" * 50,
    "no picture at all",
]
"""Chat templates that loop, grow, recurse or fail."""


@dataclass(frozen=True)
class Mutant:
    """A change of one file of a folder."""

    kind: str
    what: str
    apply: Callable[[Path], None]


def mutants(folder: Path, seed: int) -> Iterator[Mutant]:
    """Changes of a whole checkpoint or adapter, without end, each kind of change in turn."""
    draw = random.Random(seed)
    files = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != "SHA256SUMS")
    texts = [name for name in files if name.endswith(".json")]
    weights = [name for name in files if name.endswith((".safetensors", ".bin"))]
    attacks = list(TEMPLATES)
    while True:
        for _ in range(8 if texts else 0):
            yield _value(folder / draw.choice(texts), draw)
        for _ in range(3 if "chat_template.jinja" in files else 0):
            # All of them once, then any.
            text = attacks.pop() if attacks else draw.choice(TEMPLATES)
            yield Mutant("template", text[:60], _writes("chat_template.jinja", text.encode()))
        yield _file(draw.choice(files), draw)
        if texts:
            yield _added(draw)
        for _ in range(3):
            yield _tensor(draw.choice(weights), draw)


def _value(path: Path, draw: random.Random) -> Mutant:
    """Another value for a key at any depth, or none."""
    content = json.loads(path.read_text())
    places = [place for place in _places(content) if len(place) < 6]
    # Keys of the first levels are what is read; a vocabulary has thousands of others.
    place = draw.choice([place for place in places if len(place) <= draw.choice((1, 2, 2, 3, 5))])
    *way, key = place
    parent = content
    for step in way:
        parent = parent[step]
    if draw.random() < 0.1:
        what = f"{path.name} without {'.'.join(map(str, place))}"
        del parent[key]
    else:
        value = draw.choice(VALUES)
        if draw.random() < 0.3 and isinstance(parent[key], int | float):
            value = draw.choice((parent[key] + 1, parent[key] * 2, parent[key] * 1000, -parent[key], str(parent[key])))
        what = f"{path.name}: {'.'.join(map(str, place))} = {str(value)[:30]!r}"
        parent[key] = value
    return Mutant("value", what, _writes(path.name, json.dumps(content).encode()))


def _places(content: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    steps = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for number, (step, inner) in enumerate(steps):
        if number == 40:
            return
        yield (*before, step)
        yield from _places(inner, (*before, step))


def _file(name: str, draw: random.Random) -> Mutant:
    """A file that is gone, cut, no text, no regular file, or endless."""
    digits, nested = b'{"model_type": ' + b"9" * 10_000 + b"}", b'{"a":' * 100_000 + b"1" + b"}" * 100_000

    def replaces(make: Callable[[Path], object]) -> Callable[[Path], None]:
        def apply(folder: Path) -> None:
            (folder / name).unlink()
            make(folder / name)

        return apply

    def cuts(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: draw_at(len(data))])

    share = draw.random()

    def draw_at(length: int) -> int:
        return int(length * share)

    ways: dict[str, Callable[[Path], None]] = {
        "gone": lambda folder: (folder / name).unlink(),
        "cut": cuts,
        "empty": _writes(name, b""),
        "noise": _writes(name, draw.randbytes(5000)),
        "a list": _writes(name, b"[]"),
        "a byte order mark": lambda folder: _writes(name, b"\xef\xbb\xbf" + (folder / name).read_bytes())(folder),
        "10,000 digits": _writes(name, digits),
        "nested 100,000 deep": _writes(name, nested),
        "a pipe": replaces(os.mkfifo),
        "a device": replaces(lambda path: path.symlink_to("/dev/zero")),
        "a link to itself": replaces(lambda path: path.symlink_to(path)),
        "a link to nothing": replaces(lambda path: path.symlink_to("/nothing/here")),
        "a folder": replaces(Path.mkdir),
        "a terabyte": lambda folder: os.truncate(folder / name, 2**40),
    }
    way = draw.choice(list(ways))
    return Mutant("file", f"{name} is {way}", ways[way])


def _added(draw: random.Random) -> Mutant:
    """A file more, which Transformers would read."""
    added = {
        "preprocessor_config.json": b'{"size": {"height": 99999999, "width": 99999999}}',
        "chat_template.json": b'{"chat_template": "{{ \'x\' * 9999999999 }}"}',
        "model.safetensors.index.json": b'{"weight_map": {"a": "../../x.safetensors"}}',
        "adapter_config.json": b"{}",
        "added_tokens.json": b'{"<new>": 99999999}',
        "special_tokens_map.json": b'{"eos_token": 7}',
        "tokenizer.model": b"\x00" * 100,
        "vocab.json": b"[]",
        "generation_config.json": b'{"stop_strings": [7], "eos_token_id": "x"}',
        "README.md": b"",
        "video_preprocessor_config.json": b"[",
    }
    name = draw.choice(list(added))
    return Mutant("added", name, _writes(name, added[name]))


def _tensor(name: str, draw: random.Random) -> Mutant:
    """A weight file with other bytes, names, dtypes, shapes or values."""
    share, byte, value = draw.random(), draw.randrange(1, 256), draw.choice(VALUES)

    def flips(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[int(len(data) * share)] ^= byte
        (folder / name).write_bytes(data)

    def flips_header(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[int(min(len(data) - 1, 600) * share)] ^= byte
        (folder / name).write_bytes(data)

    def not_a_number(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        start = len(data) // 2 // 4 * 4
        data[start : start + 64] = b"\xff" * min(64, len(data) - start)
        (folder / name).write_bytes(data)

    def changes_header(change: Callable[[dict[str, Any], str], None]) -> Callable[[Path], None]:
        def apply(folder: Path) -> None:
            data = (folder / name).read_bytes()
            (size,) = struct.unpack("<Q", data[:8])
            header = json.loads(data[8 : 8 + size])
            keys = [key for key in header if key != "__metadata__"]
            change(header, keys[int(len(keys) * share)])
            written = json.dumps(header).encode()
            (folder / name).write_bytes(struct.pack("<Q", len(written)) + written + data[8 + size :])

        return apply

    if not name.endswith(".safetensors"):
        return Mutant("tensor", f"{name}: a flipped byte", flips)
    ways: dict[str, Callable[[Path], None]] = {
        "a flipped byte": flips,
        "a flipped byte in its header": flips_header,
        "numbers that are none": not_a_number,
        "a renamed tensor": changes_header(lambda header, key: header.update({key + "x": header.pop(key)})),
        "a lost tensor": changes_header(lambda header, key: header.pop(key)),
        "another dtype": changes_header(lambda header, key: header[key].update(dtype=draw.choice(("I32", "F8", "U8")))),
        "another shape": changes_header(lambda header, key: header[key].update(shape=[2**40, 2**40])),
        "a turned shape": changes_header(lambda header, key: header[key].update(shape=header[key]["shape"][::-1])),
        "another value in its header": changes_header(lambda header, key: header.update({key: value})),
        "other metadata": changes_header(lambda header, key: header.update(__metadata__={"format": "tf"})),
        "a lying header length": lambda folder: _writes(
            name, struct.pack("<Q", 2**60) + (folder / name).read_bytes()[8:]
        )(folder),
    }
    way = draw.choice(list(ways))
    return Mutant("tensor", f"{name}: {way}", ways[way])


def _writes(name: str, data: bytes) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)  # a link is replaced, not written through
        (folder / name).write_bytes(data)

    return apply
