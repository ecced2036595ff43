"""What a checkpoint can do in the drawn world, measured on scenes that no training ever draws."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from tqdm import tqdm

from ..data.conversation import Turn, messages, possible_turns
from ..data.fonts import HELD_OUT_FONTS, TRAINING_FONTS
from ..data.lexicon import HELD_OUT_WORDS, LETTERS
from ..data.scene import EVALUATION_STREAM, Scene, sample_scene
from ..inference.engine import Engine

Grade = Callable[[str, str], tuple[int, int]]
"""From the right answer and what was said to how much of it is right, out of how much."""


def the_same(right: str, said: str) -> tuple[int, int]:
    return int(said == right), 1


def letters_in_place(right: str, said: str) -> tuple[int, int]:
    return sum(a == b for a, b in zip(right, said, strict=False)), len(right)


def the_name(right: str, said: str) -> tuple[int, int]:
    """The thing's name alone: "A red house." is right about the house whatever the colour."""
    return int(right.split()[-1:] == said.split()[-1:]), 1


def things_named(right: str, said: str) -> tuple[int, int]:
    """Things with their colours, in any order; one that is not there counts against as one that is missing."""
    wanted, found = (set(re.split(", | and ", text.lower().rstrip("."))) for text in (right, said))
    return len(wanted & found), max(len(wanted), len(found))


@dataclass(frozen=True)
class Skill:
    """One row of the table: a kind of scene, a kind of question, what counts in an answer.

    Attributes:
        name: what a reader calls it.
        kind: of scene, see `data.scene.KINDS`.
        asks: `Turn.skill` of the question.
        grade: what counts; by default the whole answer, to the letter.
        words: what signs say, by seed; the held-out words if not given.
        fonts: that signs are lettered in.
    """

    name: str
    kind: str
    asks: str
    grade: Grade = the_same
    words: Callable[[int], str] | None = None
    fonts: tuple[str, ...] = TRAINING_FONTS


@dataclass(frozen=True)
class Score:
    """How much of what was asked was answered right; `Skill.grade` says what is counted."""

    skill: str
    right: int
    asked: int

    @property
    def share(self) -> float:
        return self.right / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share (Wilson 1927)."""
        z, n, p = 1.96, self.asked, self.share
        middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def held_out_word(seed: int) -> str:
    return HELD_OUT_WORDS[seed % len(HELD_OUT_WORDS)]


def random_letters(seed: int) -> str:
    """Three to six letters in any order."""
    rng = np.random.default_rng([5, seed])
    return "".join(LETTERS[i] for i in rng.integers(0, len(LETTERS), int(rng.integers(3, 7))))


SKILLS = (
    Skill("read a word never seen in training", "sign", "read", words=held_out_word),
    Skill("its letters, each in its place", "sign", "read", letters_in_place, words=held_out_word),
    Skill("read random letters", "sign", "read", words=random_letters),
    Skill("read a word, unseen fonts", "sign", "read", words=held_out_word, fonts=HELD_OUT_FONTS),
    Skill("name the thing", "single", "name", the_name),
    Skill("name its colour", "single", "colour"),
    Skill("count one to five", "count", "count"),
    Skill("colour of one among several", "few", "colour"),
    Skill("thing of a colour among several", "few", "find"),
    Skill("is there …? yes or no", "few", "exists"),
    Skill("describe two or three things: each named with its colour", "few", "describe", things_named),
)


def measure(engine: Engine, skill: Skill, samples: int, batch_size: int = 25) -> Score:
    """Asks `samples` fresh questions, each of a scene of its own, greedily."""
    right = asked = 0
    questions = _questions(skill, samples)
    with tqdm(total=samples, desc=skill.name, unit="question", leave=False, dynamic_ncols=True) as bar:
        while batch := list(islice(questions, batch_size)):
            for (_, turn), said in zip(batch, _answers(engine, batch), strict=True):
                got, of = skill.grade(turn.answer, said)
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


def _questions(skill: Skill, samples: int) -> Iterator[tuple[Scene, Turn]]:
    """The first `samples` scenes of the kind in which the question can be asked, with the question."""
    found = seed = 0
    while found < samples:
        words = (skill.words(seed),) if skill.words else None
        scene = sample_scene(seed, skill.kind, stream=EVALUATION_STREAM, words=words, fonts=skill.fonts)
        turns = [t for t in possible_turns(scene, np.random.default_rng([6, seed])) if t.skill == skill.asks]
        if turns:
            found += 1
            yield scene, turns[0]
        seed += 1


@torch.inference_mode()
def _answers(engine: Engine, batch: list[tuple[Scene, Turn]]) -> list[str]:
    model, processor = cast(Any, engine.model), cast(Any, engine.processor)
    chats = [messages([turn], [scene.draw()[0]])[:1] for scene, turn in batch]
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
