"""A tiny recipe and its data for training tests; as a program, it trains in a separate process."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from minigemini.training.recipe import DataPart, Recipe


def write_data(folder: Path, image, rows: int = 40, broken: int = 0) -> Path:
    """Write records in LLaVA's format: two of three have an image, and images of the first `3 * broken` are missing."""
    records = []
    for seed in range(4):
        image(seed).save(folder / f"{seed}.png")
    for row in range(rows):
        has_image = row % 3 > 0
        turns = [{"from": "human", "value": "<image>\n" * has_image + "Q" * (row * 7 % 23 + 1)}]
        turns += [{"from": "gpt", "value": f"the answer {row}"[: 4 + row % 11]}]
        name = "missing.png" if row < 3 * broken and has_image else f"{row % 4}.png"
        records.append({"id": str(row), "conversations": turns} | ({"image": name} if has_image else {}))
    (folder / "chat.json").write_text(json.dumps(records))
    captions = [
        {
            "id": str(row),
            "image": f"{row % 4}.png",
            "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": f"caption {row}"}],
        }
        for row in range(rows)
    ]
    (folder / "captions.json").write_text(json.dumps(captions))
    return folder


def tiny_recipe(base: Path, data: Path, **changes) -> Recipe:
    """Stage 2 of five steps in float32."""
    recipe = Recipe(
        name="tiny",
        stage="instruct",
        base=str(base),
        data=(DataPart(str(data / "chat.json"), str(data)),),
        learning_rate=1e-2,
        global_batch=8,
        micro_batch=4,
        max_length=128,
        precision="fp32",
        gradient_checkpointing=False,
        workers=0,
        save_steps=2,
        report_to="none",
        lora_rank=4,
    )
    if changes.get("stage") == "align":
        changes = {"data": (DataPart(str(data / "captions.json"), str(data)),), "chat_format": "plain", **changes}
    return replace(recipe, **changes)


def losses(folder: Path) -> list[tuple[int, float]]:
    """Steps and exact losses in a run's log."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines]


if __name__ == "__main__":  # arguments: base, data, folder, changes as JSON
    from minigemini.training.run import train

    torch.set_num_threads(1)
    base, data, folder, changes = sys.argv[1:]
    try:
        train(tiny_recipe(Path(base), Path(data), **json.loads(changes)), Path(folder))
    except KeyboardInterrupt:
        sys.exit(130)
