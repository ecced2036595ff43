"""The model's code as one flat folder, for Transformers' `trust_remote_code=True` without this package.

Transformers copies the Python files that a folder's `auto_map` names, and those that they import relatively, into a
cache of modules and imports them there. It follows imports of the form `from .name import …` alone, to files beside
the importing one, and refuses code that imports a package which is not installed, even within a function. So the rule
is:

1. The modules are those that `modeling.auto`, which registers the classes, imports from this package, directly or
   not, and those that worker processes import by path.
2. A module `minigemini.a.b` becomes the file `b.py`, and each relative import names it so. Nothing else is changed.
3. `chat_templates`, which reads texts from files that Transformers would not copy, becomes a file with its values.
4. `modeling_minigemini.py` gives the classes: those of the package if it is installed, otherwise those of the copy.

Optional packages (timm, PyAV) are imported by name, so that only encoders and videos that need them require them.
"""

import ast
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import resolve_name
from pathlib import Path
from pprint import pformat

from ..modeling import chat_templates

ENTRY = "modeling_minigemini"
"""Name of the module that a config's `auto_map` names. One for all classes, because Transformers copies local code once
per module that it is asked for, and classes of two copies would differ."""
AUTO_CLASSES = {
    "AutoConfig": "MiniGeminiConfig",
    "AutoImageProcessor": "MiniGeminiImageProcessor",
    "AutoProcessor": "MiniGeminiProcessor",
    "AutoModel": "MiniGeminiModel",
    "AutoModelForImageTextToText": "MiniGeminiForConditionalGeneration",
    "AutoModelForMultimodalLM": "MiniGeminiForConditionalGeneration",
}
"""Our class for each Auto class of Transformers."""
OLDEST_TRANSFORMERS = "5.19"
"""As in the dependencies of this package."""

_PACKAGE = __package__.partition(".")[0]
_FOLDER = Path(__file__).parent.parent
_START = (f"{_PACKAGE}.modeling.auto", f"{_PACKAGE}.images.video_decoding")
_VALUES = {
    f"{_PACKAGE}.modeling.chat_templates": {
        "END_TOKENS": chat_templates.END_TOKENS,
        "CHAT_TEMPLATES": chat_templates.CHAT_TEMPLATES,
    }
}
_HEADER = """\
# SPDX-License-Identifier: Apache-2.0
# From {package} {version}, {source}; written by `{package} package`, not meant to be edited.
"""
_ENTRY = '''\
"""Mini-Gemini for `trust_remote_code=True`: the classes of the installed package, or else of the files beside this one.

Requires torch, transformers>={oldest}, pillow and einops.
"""

from typing import TYPE_CHECKING

# Transformers checks these imports, and names what is not installed.
import einops  # noqa: F401
import PIL  # noqa: F401

try:
    from {package} import (
{names}
    )
except ImportError:
    import transformers

    if tuple(map(int, transformers.__version__.split(".")[:2])) < {oldest_numbers}:
        raise ImportError(
            f"this model needs transformers>={oldest}, but {{transformers.__version__}} is installed: "
            "pip install 'transformers>={oldest}'"
        ) from None
    from .auto import (
{names}
    )

    # What is loaded and saved again brings this file along, and with it those that it imports.
    for _class, _auto_class in (
{classes}
    ):
        _class.__module__, _class._auto_class = __name__, _auto_class

if TYPE_CHECKING:  # run in processes of its own; Transformers copies what is imported here
    from .video_decoding import decode_video  # noqa: F401

__all__ = [
{exported}
]
'''


def standalone_files() -> dict[str, str]:
    """Return the text of each Python file by its name.

    Raises:
        ValueError: Two modules have the same last name.
    """
    files = {f"{ENTRY}.py": _header(f"{_PACKAGE}.packaging.standalone_code") + _entry()}
    for module in sorted(_modules()):
        name = f"{_last(module)}.py"
        if name in files:
            raise ValueError(f"two modules of {_PACKAGE} are named {name}: rename {module}")
        files[name] = _header(module) + (_values(module) if module in _VALUES else _flat(module))
    return files


def auto_map(*auto_classes: str) -> dict[str, str]:
    """Return the `auto_map` of a description file for some Auto classes; by default, for all."""
    return {name: f"{ENTRY}.{AUTO_CLASSES[name]}" for name in auto_classes or AUTO_CLASSES}


def _modules() -> set[str]:
    """The modules that the copy needs."""
    found: set[str] = set()
    left = [*_START]
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            left += () if module in _VALUES else [imported for _, imported in _relative_imports(module)]
    return found


def _relative_imports(module: str) -> Iterator[tuple[ast.ImportFrom, str]]:
    """Yield the relative imports in a module, with the full name of the module that each imports from."""
    path = _path(module)
    parent = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node, resolve_name("." * node.level + (node.module or ""), parent)


def _flat(module: str) -> str:
    """The source of a module with its relative imports changed to files of the same folder."""
    lines = _path(module).read_text(encoding="utf-8").splitlines(keepends=True)
    for node, imported in _relative_imports(module):
        statement, line = f"from {'.' * node.level}{node.module or ''} import", lines[node.lineno - 1]
        if statement not in line or not node.module:
            raise ValueError(f"{module}, line {node.lineno}: write `from .module import name` on one line")
        lines[node.lineno - 1] = line.replace(statement, f"from .{_last(imported)} import", 1)
    return "".join(lines)


def _values(module: str) -> str:
    values = (f"{name} = {pformat(value, width=110, sort_dicts=False)}\n" for name, value in _VALUES[module].items())
    docstring = ast.get_docstring(ast.parse(_path(module).read_text(encoding="utf-8")))
    return f'"""{docstring}\n"""\n\n' + "\n".join(values)


def _entry() -> str:
    names = sorted(set(AUTO_CLASSES.values()))
    # A class that several Auto classes give is saved for the first.
    first = {name: auto for auto, name in reversed(AUTO_CLASSES.items())}
    return _ENTRY.format(
        package=_PACKAGE,
        oldest=OLDEST_TRANSFORMERS,
        oldest_numbers=tuple(map(int, OLDEST_TRANSFORMERS.split("."))),
        names="\n".join(f"        {name}," for name in names),
        classes="\n".join(f'        ({name}, "{first[name]}"),' for name in names),
        exported="\n".join(f'    "{name}",' for name in names),
    )


def _header(module: str) -> str:
    source = _path(module).relative_to(_FOLDER.parent).as_posix()
    return _HEADER.format(package=_PACKAGE, version=version(_PACKAGE), source=source)


def _path(module: str) -> Path:
    """The source file of a module of this package."""
    path = _FOLDER.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _last(module: str) -> str:
    return module.rpartition(".")[2]
