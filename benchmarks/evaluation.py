"""Speed of `minigemini eval` on nano compared with one question at a time: the same questions, alternating.

    python benchmarks/evaluation.py --samples 16

The methods alternate, so that other load on the machine affects all alike. CPU seconds are those of the process and its
workers, and hardly depend on other load.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import torch

from minigemini.evaluation.local_backend import LocalAnswerer
from minigemini.evaluation.response_cache import ResponseCache
from minigemini.evaluation.runner import run_questions
from minigemini.evaluation.task import Question, open_image_input
from minigemini.inference.engine import Engine, Sampling
from minigemini_models.evaluation.synthetic_tasks import SyntheticBasic


def processor_seconds() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def one_by_one(engine: Engine, questions: list[Question]) -> dict[str, str]:
    """Ask without `eval`: open each image, then call `Engine.ask`."""
    sampling = Sampling(max_new_tokens=SyntheticBasic.max_new_tokens)
    answers = {}
    for question in questions:
        text = question.messages[-1]["content"][-1]["text"]
        answers[question.id] = engine.ask([open_image_input(p) for p in question.images], text, sampling).text.strip()
    return answers


def batched(engine: Engine, questions: list[Question], batch_size: int, workers: int) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        asked = run_questions(
            questions,
            LocalAnswerer(engine, workers),
            ResponseCache(Path(folder)),
            lambda question: question.id,
            max_new_tokens=SyntheticBasic.max_new_tokens,
            batch_size=batch_size,
            title="nano",
        )
    return asked.answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=16, help="per skill")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    engine, questions = Engine.load("nano", "cpu"), SyntheticBasic().questions(None, given.samples)
    assert all(len(question.messages) == 1 for question in questions)
    ways = {
        "one after the other": lambda: one_by_one(engine, questions),
        f"batches of {given.batch_size}": lambda: batched(engine, questions, given.batch_size, 0),
        f"batches of {given.batch_size}, a worker": lambda: batched(engine, questions, given.batch_size, 1),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    answers = {}
    load = os.getloadavg()[0]
    for _ in range(given.rounds):
        for name, way in ways.items():
            wall, processor = time.perf_counter(), processor_seconds()
            answers[name] = way()
            spent[name].append((time.perf_counter() - wall, processor_seconds() - processor))
    first = answers["one after the other"]
    base = [min(taken) for taken in zip(*spent["one after the other"], strict=True)]
    rows = [
        "| way | samples/s | times | processor ms per sample | times | other answers |",
        "|---|---|---|---|---|---|",
    ]
    for name, rounds in spent.items():
        wall, processor = (min(taken) for taken in zip(*rounds, strict=True))
        other = sum(first[key] != answers[name][key] for key in first)
        rows.append(
            f"| {name} | {len(questions) / wall:.1f} | {base[0] / wall:.2f} | {1e3 * processor / len(questions):.1f} | "
            f"{base[1] / processor:.2f} | {other} of {len(first)} |"
        )
    print("\n".join([f"load {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end", *rows]))


if __name__ == "__main__":
    main()
