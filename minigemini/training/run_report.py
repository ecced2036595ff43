"""`report.md`, the report of a run: loss curves, sample answers, and how to reproduce the run."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..data.schema import text_of
from ..io.plots import NO_PLOTS, can_plot, draw_curve
from .callbacks import curves_of
from .recipe import Recipe
from .run_setup import Answers, RunSetup
from .settings import RunSettings

REPORT = "report.md"
LOSS_LABEL = "loss, nats per token of the answers"
"""Of a stage; other runs have losses of their own."""


def write_report(
    folder: Path,
    recipe: RunSettings,
    setup: RunSetup,
    log: Sequence[Mapping[str, float]],
    figures: Mapping[str, Any],
    answers: Answers,
) -> Path:
    """Write the report, and its plots if matplotlib is installed."""
    frozen = sum(p.numel() for p in setup.module.parameters() if not p.requires_grad)
    lines = [f"# {recipe.name}", ""]
    lines += [] if can_plot() else [NO_PLOTS, ""]
    for name, points in curves_of(log).items():
        steps, values = [step for step, _ in points], [value for _, value in points]
        label = name.replace("_", " ")
        if can_plot():
            y_label = LOSS_LABEL if name == "loss" and isinstance(recipe, Recipe) else label
            draw_curve(folder / f"{name}.png", steps, values, recipe.name, y_label)
            lines += [f"![{label.capitalize()} per step]({name}.png)", ""]
        lines += [f"{label.capitalize()} {values[0]:.4f} at step {steps[0]}, {values[-1]:.4f} at step {steps[-1]}.", ""]
    lines += _table(("figure", "value"), figures.items())
    lines += ["## Trained parameters", ""]
    lines += _table(
        ("part", "parameters"), [*((p, f"{n:,}") for p, n in setup.trained.items()), ("frozen", f"{frozen:,}")]
    )
    lines += ["## Bad samples", ""]
    lines += _table(("issue", "samples"), setup.issues.items()) if setup.issues else ["None.", ""]
    lines += ["## Samples and answers", ""] if answers else []
    for sample, answer in answers:
        question, expected = text_of(sample.messages[0]).strip(), text_of(sample.messages[1]).strip()
        lines += [f"- `{sample.source}`, sample `{sample.id}`: {_cell(question) or '(image only)'}"]
        lines += [f"  - expected: {_cell(expected)}", f"  - generated: {_cell(answer) or '(nothing)'}"]
    lines += ["", "## Reproduce", "", "    " + command(recipe, folder), ""]
    lines += _table(("setting", "value"), [(name, f"`{value}`") for name, value in recipe.words()])
    lines += _table(("environment", "value"), environment().items())
    path = folder / REPORT
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def command(recipe: RunSettings, folder: Path) -> str:
    """The command line that reproduces a recipe, by its name or by the recipe file in the run's folder."""
    from .recipe_registry import all_recipes
    from .yaml_recipes import SAVED

    if recipe.name not in all_recipes():
        return f"minigemini train {folder / SAVED}"
    defaults = all_recipes()[recipe.name].words()
    words = [
        f"{name}={value}"
        for (name, value), default in zip(recipe.words(), defaults, strict=True)
        if value != default[1]
    ]
    return " ".join(["minigemini train", recipe.name, *words])


def environment() -> dict[str, str]:
    """Commit, machine and package versions."""
    packages = ("torch", "transformers", "accelerate")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "commit": commit(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "machine": f"{platform.system()}, {device}, {torch.get_num_threads()} threads",
    }


def commit() -> str:
    """Commit of the checkout that holds this file, with `+` if files have changed."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"minigemini {version('minigemini')}, not a git checkout"


def _table(head: tuple[str, str], rows: Any) -> list[str]:
    return [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]


def _cell(text: str, max_chars: int = 300) -> str:
    """Untrusted text as a single line that cannot break the Markdown."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:max_chars].replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
