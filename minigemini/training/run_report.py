"""`report.md`, the report of a run: loss curves, sample answers, and how to reproduce the run."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from ..data.schema import text_of
from .callbacks import curves_of
from .run_setup import Answers, RunSetup
from .settings import RunSettings

REPORT = "report.md"
PLOT_WIDTH, PLOT_HEIGHT, MARGIN, SCALE = 720, 360, 48, 2  # pixels; drawn at SCALE times the size for antialiasing
TEXT_COLOR, GRID_COLOR = (30, 30, 30), (215, 215, 215)
VALUE_COLOR, MEAN_COLOR = (176, 196, 232), (40, 90, 190)


def write_report(
    folder: Path,
    recipe: RunSettings,
    setup: RunSetup,
    log: Sequence[Mapping[str, float]],
    figures: Mapping[str, Any],
    answers: Answers,
) -> Path:
    """Write the report and its plots."""
    frozen = sum(p.numel() for p in setup.module.parameters() if not p.requires_grad)
    lines = [f"# {recipe.name}", ""]
    for name, points in curves_of(log).items():
        steps, values = [step for step, _ in points], [value for _, value in points]
        label = name.replace("_", " ")
        draw_curve(folder / f"{name}.png", steps, values, f"{recipe.name}: {label} per step")
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


def draw_curve(path: Path, steps: Sequence[int], values: Sequence[float], title: str) -> None:
    """Plot values over steps in a pale color, with their running mean over 2 % of the run.

    Pillow draws the plot: a plotting library would be the largest dependency of all.
    """
    image = Image.new("RGB", (PLOT_WIDTH * SCALE, PLOT_HEIGHT * SCALE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13 * SCALE)
    low, high = min(values), max(values)
    first, last = steps[0], max(steps[-1], steps[0] + 1)
    span = (high - low) or 1.0

    def at(step: float, value: float) -> tuple[float, float]:
        x = MARGIN + (step - first) / (last - first) * (PLOT_WIDTH - 1.5 * MARGIN)
        y = PLOT_HEIGHT - MARGIN - (value - low) / span * (PLOT_HEIGHT - 2 * MARGIN)
        return x * SCALE, y * SCALE

    for n in range(5):
        value = low + span * n / 4
        draw.line([at(first, value), at(last, value)], fill=GRID_COLOR, width=SCALE)
        x, y = at(first, value)
        draw.text((x - 6 * SCALE, y), f"{value:.3g}", fill=TEXT_COLOR, font=font, anchor="rm")
    for n in range(5):
        step = first + (last - first) * n / 4
        x, y = at(step, low)
        draw.text((x, y + 8 * SCALE), f"{step:.0f}", fill=TEXT_COLOR, font=font, anchor="mt")
    draw.text((MARGIN * SCALE, 12 * SCALE), title, fill=TEXT_COLOR, font=font)
    window = max(1, len(values) // 50)
    means = [sum(values[max(0, n - window + 1) : n + 1]) / min(n + 1, window) for n in range(len(values))]
    for shown, color, width in ((values, VALUE_COLOR, SCALE), (means, MEAN_COLOR, 2 * SCALE)):
        points = [at(step, value) for step, value in zip(steps, shown, strict=True)]
        draw.line(points if len(points) > 1 else points * 2, fill=color, width=width)
    image.resize((PLOT_WIDTH, PLOT_HEIGHT), Image.Resampling.LANCZOS).save(path)
