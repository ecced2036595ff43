"""Asking a checkpoint, on scenes that no training ever draws."""

from collections.abc import Iterator
from itertools import count, islice
from typing import Any, cast

import numpy as np
import torch
from tqdm import tqdm

from ..inference.engine import Engine
from ..world.composing import sample_scene
from ..world.conversation import possible_exchanges
from ..world.lessons import PAIR_KINDS, Lesson, sample_pair
from ..world.scene import Scene
from ..world.turns import messages
from .grading import Score
from .skills import Skill


def measure(engine: Engine, skill: Skill, samples: int, batch_size: int = 25) -> Score:
    """Asks `samples` fresh questions, each of a scene of its own, greedily."""
    right = asked = 0
    lessons = questions(skill, samples)
    with tqdm(total=samples, desc=skill.name, unit="question", leave=False, dynamic_ncols=True) as bar:
        while batch := list(islice(lessons, batch_size)):
            for lesson, said in zip(batch, _answers(engine, batch), strict=True):
                got, of = skill.grade(lesson.turns[-1].answer, said)
                right, asked = right + got, asked + of
            bar.update(len(batch))
    return Score(skill.name, right, asked)


def table(columns: dict[str, list[Score]]) -> str:
    """Scores as a Markdown table: a row per skill, a column per checkpoint."""
    names = list(columns)
    rows = [f"| skill | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for scores in zip(*columns.values(), strict=True):
        cells = [f"{s.share:.1%} ({s.interval[0]:.1%} to {s.interval[1]:.1%}, n={s.asked})" for s in scores]
        rows.append(f"| {scores[0].skill} | {' | '.join(cells)} |")
    return "\n".join(rows)


def questions(skill: Skill, samples: int) -> Iterator[Lesson]:
    """The first `samples` scenes of the kind in which the question can be asked, with the rounds that end in it."""
    return islice((lesson for seed in count() if (lesson := _lesson(skill, seed))), samples)


def _lesson(skill: Skill, seed: int) -> Lesson | None:
    scenes: tuple[Scene, ...]
    if skill.kind in PAIR_KINDS:
        scenes, exchanges = sample_pair(seed, skill.kind, skill.material)
    else:
        scene = sample_scene(seed, skill.kind, skill.material)
        scenes, exchanges = (scene,), possible_exchanges(scene, np.random.default_rng([6, seed]))
    fitting = [exchange for exchange in exchanges if exchange[-1].skill == skill.asks]
    return Lesson(scenes, fitting[0]) if fitting else None


@torch.inference_mode()
def _answers(engine: Engine, batch: list[Lesson]) -> list[str]:
    """What is said to the last question of each; the rounds before it went as they should."""
    model, processor = cast(Any, engine.model), cast(Any, engine.processor)
    chats = [messages(list(lesson.turns), [scene.draw()[0] for scene in lesson.scenes])[:-1] for lesson in batch]
    inputs = processor.apply_chat_template(
        chats,
        tokenize=True,
        return_dict=True,
        add_generation_prompt=True,
        return_tensors="pt",
        processor_kwargs={"padding": True, "padding_side": "left"},
    ).to(engine.device)
    generated = model.generate(**inputs, max_new_tokens=48, do_sample=False)
    said = generated[:, inputs["input_ids"].shape[1] :]
    return [text.strip() for text in processor.batch_decode(said, skip_special_tokens=True)]
