"""`report.md`, the page that a run leaves: its curve, what the model now says, and what it takes to run it again."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ..data.mixture import Mixture
from ..data.schema import Sample, SampleError, text_of
from ..model.pictures import open_picture
from .building import Built
from .curve import draw_curve
from .recipe import Recipe, settings_of

SHOWN_SAMPLES, ANSWER_TOKENS = 4, 64
CURVE, PAGE = "loss.png", "report.md"


def write_report(
    folder: Path,
    recipe: Recipe,
    built: Built,
    losses: Sequence[tuple[int, float]],
    figures: Mapping[str, Any],
    faults: Mapping[str, int],
    answers: Sequence[tuple[Sample, str]],
) -> Path:
    """Write the page and its picture."""
    steps, values = [step for step, _ in losses], [loss for _, loss in losses]
    draw_curve(folder / CURVE, steps, values, f"{recipe.name}: loss per step")
    frozen = sum(p.numel() for p in built.lesson.parameters() if not p.requires_grad)
    lines = [f"# {recipe.name}", "", f"![Loss per step]({CURVE})", ""]
    lines += [f"Loss {values[0]:.4f} at step {steps[0]}, {values[-1]:.4f} at step {steps[-1]}.", ""]
    lines += _table(("figure", "value"), figures.items())
    lines += ["## What trained", ""]
    lines += _table(
        ("part", "parameters"), [*((p, f"{n:,}") for p, n in built.trained.items()), ("frozen", f"{frozen:,}")]
    )
    lines += ["## Faulty samples", ""]
    lines += _table(("fault", "samples"), faults.items()) if faults else ["None.", ""]
    lines += ["## Samples and answers", ""]
    for sample, answer in answers:
        question, wanted = text_of(sample.messages[0]).strip(), text_of(sample.messages[1]).strip()
        lines += [f"- `{sample.source}`, sample `{sample.id}`: {_cell(question) or 'the picture alone'}"]
        lines += [f"  - wanted: {_cell(wanted)}", f"  - said: {_cell(answer) or '(nothing)'}"]
    lines += ["", "## To run it again", "", "    " + command(recipe), ""]
    lines += _table(("setting", "value"), [(name, f"`{value}`") for name, value in settings_of(recipe)])
    lines += _table(("environment", "value"), environment().items())
    page = folder / PAGE
    page.write_text("\n".join(lines), encoding="utf-8")
    return page


def command(recipe: Recipe) -> str:
    """The command line that gives this very recipe."""
    from .recipes import RECIPES

    settings = settings_of(recipe)
    if recipe.name in RECIPES:
        usual = settings_of(RECIPES[recipe.name])
        settings = [given for given, same in zip(settings, usual, strict=True) if given != same]
    words = [f"{name}={value}" for name, value in settings if name != "name"]
    return " ".join(["minigemini train", recipe.name, *words])


def environment() -> dict[str, str]:
    """Commit, machine and versions."""
    packages = ("torch", "transformers", "accelerate")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "commit": commit(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "machine": f"{platform.system()}, {device}, {torch.get_num_threads()} threads",
    }


def commit() -> str:
    """Of the checkout that this file lies in; `+` where files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"minigemini {version('minigemini')}, not a checkout"


@torch.no_grad()
def some_answers(built: Built, recipe: Recipe, mixture: Mixture) -> list[tuple[Sample, str]]:
    """What the trained model says to the first turn of a few samples, by the prompts that it was trained with."""
    model: Any = built.model
    device = next(model.parameters()).device
    model.eval()
    said = []
    for sample in islice(_readable(mixture), SHOWN_SAMPLES):
        pictures = iter(sample.pictures)
        parts = [
            {"type": "image", "image": open_picture(next(pictures))} if part["type"] == "image" else dict(part)
            for message in sample.messages[:1]
            for part in message["content"]
            if recipe.chat_format != "plain" or part["type"] == "image"
        ]
        inputs: Any = built.processor.apply_chat_template(
            [{"role": "user", "content": parts}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            tokens = model.generate(**inputs, max_new_tokens=ANSWER_TOKENS, do_sample=False, use_cache=True)
        new = tokens[0, inputs["input_ids"].shape[1] :]
        said.append((sample, built.processor.decode(new, skip_special_tokens=True).strip()))
    return said


def _readable(mixture: Mixture) -> Any:
    for number in mixture.epoch(0):
        try:
            sample = mixture[int(number)]
            for picture in sample.pictures:
                open_picture(picture)
        except (SampleError, ValueError):
            continue
        if sample.messages[0]["role"] == "user":
            yield sample


def _table(head: tuple[str, str], rows: Any) -> list[str]:
    return [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]


def _cell(text: str, most: int = 300) -> str:
    """Someone's text on one line that cannot break the page."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:most].replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
