"""Writes a checkpoint as a folder for the hub: weights, descriptions with `auto_map`, code, model card and license."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import yaml

from ..io.adapters import find_model_source
from ..io.atomic_write import atomic_write
from ..io.checkpoint import INDEX, weight_files
from ..io.errors import RequestError, one_line
from ..io.folder_lock import output_lock
from ..io.hashes import write_sums
from ..io.integrity import weights_checked
from ..io.merging import check_target
from ..io.untrusted import read_json
from .standalone_code import ENTRY, OLDEST_TRANSFORMERS, auto_map, standalone_files

COPIED = (
    *("config.json", "generation_config.json", "processor_config.json", "preprocessor_config.json", INDEX),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja", "examples.json"),
)
"""Files that are copied besides weights. Others, such as the state of training, may be private."""
_COPIED_PATTERNS = ("LICENSE*", "NOTICE*", "examples/*")
_CARD = "README.md"
_CODE_LICENSE = "apache-2.0"
_LICENSE_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")
_FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_LOADING = """\

## Loading with Transformers

    pip install torch 'transformers>={oldest}' pillow einops

```python
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("{name}", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("{name}", trust_remote_code=True)
content = [{{"type": "image", "path": "photo.png"}}, {{"type": "text", "text": "What is in the image?"}}]
inputs = processor.apply_chat_template(
    [{{"role": "user", "content": content}}],
    add_generation_prompt=True,
    tokenize=True,
    return_dict=True,
    return_tensors="pt",
).to(model.dtype)
answer = model.generate(**inputs, max_new_tokens=64, do_sample=False)
print(processor.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```

`{entry}.py` and the files beside it are the code of the package `minigemini` {version} (Apache-2.0). If the package is
installed, its own code is used, and `import minigemini` makes `trust_remote_code` unnecessary.
"""


def package(model: str | os.PathLike[str], folder: str | os.PathLike[str], license_id: str | None = None) -> Path:
    """Write a folder that loads with `trust_remote_code=True` where this package is not installed. Returns it.

    Args:
        model: A registered model, a folder or a hub id.
        folder: The folder to create. Its parent must exist.
        license_id: The hub's identifier of the weights' license, such as `apache-2.0`; by default, that of the card.

    Raises:
        CheckpointError: The checkpoint is missing or invalid.
        RequestError: The model is an adapter, its license is unknown, or the folder cannot be written.
        FolderInUseError: Another process is writing it.
    """
    target = Path(folder).expanduser()
    check_target(target)
    found = find_model_source(model)
    if found.adapter is not None:
        raise RequestError(f"{model}: an adapter; package what `minigemini merge` makes of it")
    card = _read_card(found.folder)
    front_matter = _front_matter(model, card, license_id)
    with output_lock(target):
        check_target(target)  # again, because another process may have created it
        try:
            with atomic_write(target) as aside:
                aside.mkdir()
                with weights_checked(found.folder):  # new hashes would hide damage
                    _copy(found.folder, aside)
                _add_auto_maps(aside)
                for name, text in standalone_files().items():
                    (aside / name).write_text(text, encoding="utf-8")
                (aside / _CARD).write_text(_card(front_matter, card, target.name), encoding="utf-8")
                _write_license(aside, front_matter["license"])
                write_sums(aside)
        except OSError as error:
            raise RequestError(f"{target}: cannot be written ({one_line(error)}); name a folder elsewhere") from None
    return target


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a model.

    Raises:
        RequestError: One is a link out of the folder: a stranger's could publish a private file.
    """
    listed = [*weight_files(source), *(source / name for name in COPIED)]
    home = source.resolve()
    homes = (home, home.parent.parent / "blobs") if home.parent.name == "snapshots" else (home,)  # the hub's cache
    for file in (*listed, *(file for pattern in _COPIED_PATTERNS for file in sorted(source.glob(pattern)))):
        if file.is_file():
            if not any(file.resolve().is_relative_to(folder) for folder in homes):
                raise RequestError(
                    f"{file}: a link to {file.resolve()}, outside of the model; put the file in its place"
                )
            copy = target / file.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, copy)


def _add_auto_maps(folder: Path) -> None:
    """Name the code in the files that Transformers reads for each Auto class."""
    _update(folder / "config.json", lambda config: {**config, "auto_map": auto_map()})
    _update(folder / "processor_config.json", _with_processors)
    _update(folder / "preprocessor_config.json", _with_processors)


def _with_processors(config: dict[str, Any]) -> dict[str, Any]:
    nested = config.get("image_processor")
    if not isinstance(nested, dict):
        return {**config, "auto_map": auto_map("AutoProcessor", "AutoImageProcessor")}
    image_processor = {**nested, "auto_map": auto_map("AutoImageProcessor")}
    return {**config, "image_processor": image_processor, "auto_map": auto_map("AutoProcessor")}


def _update(file: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    if file.exists():
        text = json.dumps(change(read_json(file, str(file))), indent=2, sort_keys=True, ensure_ascii=False)
        file.write_text(f"{text}\n", encoding="utf-8")


def _read_card(folder: Path) -> str:
    file = folder / _CARD
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _front_matter(model: str | os.PathLike[str], card: str, license_id: str | None) -> dict[str, Any]:
    """The metadata of the card, completed.

    Raises:
        RequestError: It is invalid, or there is no license.
    """
    match = _FRONT_MATTER.match(card)
    try:
        stated = yaml.safe_load(match[1]) if match else {}
    except (yaml.YAMLError, RecursionError) as error:
        raise RequestError(f"{model}: its card begins with invalid YAML ({one_line(error)}); correct it") from None
    if not isinstance(stated, dict):
        raise RequestError(f"{model}: its card begins with YAML that is not a mapping; correct it")
    chosen = license_id or stated.get("license")
    if not isinstance(chosen, str) or not _LICENSE_ID.fullmatch(chosen):
        what = "its card names no license" if chosen is None else f"{chosen!r} is not an identifier of a license"
        raise RequestError(f"{model}: {what}; pass the hub's identifier, such as --license apache-2.0")
    tags = stated.get("tags") or []
    added = [tag for tag in ("minigemini", "custom_code") if tag not in tags]
    given = {"license": chosen, "library_name": "transformers", "pipeline_tag": "image-text-to-text"}
    return {**stated, **given, "tags": [*_texts(tags), *added]}


def _texts(values: Any) -> Iterable[str]:
    return [str(value) for value in values] if isinstance(values, list) else [str(values)]


def _card(front_matter: dict[str, Any], card: str, name: str) -> str:
    body = (
        _FRONT_MATTER.sub("", card)
        or f"\n# {name}\n\nA Mini-Gemini model ([arXiv 2403.18814](https://arxiv.org/abs/2403.18814)).\n"
    )
    loading = _LOADING.format(
        name=name, entry=ENTRY, oldest=OLDEST_TRANSFORMERS, version=distribution("minigemini").version
    )
    return f"---\n{yaml.safe_dump(front_matter, sort_keys=False, allow_unicode=True)}---\n{body.rstrip()}\n{loading}"


def _write_license(folder: Path, license_id: str) -> None:
    """Add the license of the code, which is that of the weights too if they have the same."""
    text = distribution("minigemini").read_text("licenses/LICENSE")
    if text is None:
        raise RequestError("the license of minigemini is not installed with it; install the package again")
    is_of_both = license_id == _CODE_LICENSE and not any(folder.glob("LICENSE*"))
    (folder / ("LICENSE" if is_of_both else "LICENSE-CODE")).write_text(text, encoding="utf-8")
