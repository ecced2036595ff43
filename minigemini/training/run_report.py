"""`report.md`, the page that a run leaves: its curve, what the model now says, and what it takes to run it again."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..data.schema import text_of
from .callbacks import curves_of
from .loss_curve import draw_curve
from .run_setup import Answers, RunSetup
from .settings import RunSettings

PAGE = "report.md"


def write_report(
    folder: Path,
    recipe: RunSettings,
    prepared: RunSetup,
    log: Sequence[Mapping[str, float]],
    figures: Mapping[str, Any],
    answers: Answers,
) -> Path:
    """Write the page and its pictures."""
    frozen = sum(p.numel() for p in prepared.module.parameters() if not p.requires_grad)
    lines = [f"# {recipe.name}", ""]
    for name, points in curves_of(log).items():
        steps, values = [step for step, _ in points], [value for _, value in points]
        words = name.replace("_", " ")
        draw_curve(folder / f"{name}.png", steps, values, f"{recipe.name}: {words} per step")
        lines += [f"![{words.capitalize()} per step]({name}.png)", ""]
        lines += [f"{words.capitalize()} {values[0]:.4f} at step {steps[0]}, {values[-1]:.4f} at step {steps[-1]}.", ""]
    lines += _table(("figure", "value"), figures.items())
    lines += ["## What trained", ""]
    lines += _table(
        ("part", "parameters"), [*((p, f"{n:,}") for p, n in prepared.trained.items()), ("frozen", f"{frozen:,}")]
    )
    lines += ["## Faulty samples", ""]
    lines += _table(("fault", "samples"), prepared.issues.items()) if prepared.issues else ["None.", ""]
    lines += ["## Samples and answers", ""] if answers else []
    for sample, answer in answers:
        question, wanted = text_of(sample.messages[0]).strip(), text_of(sample.messages[1]).strip()
        lines += [f"- `{sample.source}`, sample `{sample.id}`: {_cell(question) or 'the picture alone'}"]
        lines += [f"  - wanted: {_cell(wanted)}", f"  - said: {_cell(answer) or '(nothing)'}"]
    lines += ["", "## To run it again", "", "    " + command(recipe, folder), ""]
    lines += _table(("setting", "value"), [(name, f"`{value}`") for name, value in recipe.words()])
    lines += _table(("environment", "value"), environment().items())
    page = folder / PAGE
    page.write_text("\n".join(lines), encoding="utf-8")
    return page


def command(recipe: RunSettings, folder: Path) -> str:
    """The command line that gives this very recipe: from its name, or from the file of it in the run's folder."""
    from .recipe_registry import all_recipes
    from .yaml_recipes import SAVED

    if recipe.name not in all_recipes():
        return f"minigemini train {folder / SAVED}"
    usual = all_recipes()[recipe.name].words()
    words = [f"{name}={value}" for (name, value), same in zip(recipe.words(), usual, strict=True) if value != same[1]]
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


def _table(head: tuple[str, str], rows: Any) -> list[str]:
    return [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]


def _cell(text: str, most: int = 300) -> str:
    """Someone's text on one line that cannot break the page."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:most].replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
