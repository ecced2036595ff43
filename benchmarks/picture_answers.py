"""What a model answers about pictures that a seed chooses, as a table with the verdict of `eval real`.

python benchmarks/picture_answers.py small --seed 0 --pictures 10
"""

import argparse
import random
from collections import defaultdict

from minigemini.evaluation.task import Question
from minigemini.inference import Engine
from minigemini.inference.sampling import Sampling
from minigemini_models.evaluation.real_scoring import judge
from minigemini_models.evaluation.real_task import RealPictures

FOLDER = "../../minigemini_models/evaluation/real"
"""Of the pictures, from benchmarks/results."""


def chosen(questions: list[Question], seed: int, pictures: int) -> list[Question]:
    """Return one question about each of some pictures, all of which are equally likely."""
    about: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        about[question.facts["picture"]].append(question)
    draw = random.Random(seed)
    return [draw.choice(about[name]) for name in draw.sample(sorted(about), pictures)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name or folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=10)
    options = parser.parse_args()
    task = RealPictures()
    engine = Engine.load(options.model, "cpu", packed=True)
    print("| picture | question | answer | verdict |\n|---|---|---|---|")
    for question in chosen(task.questions(None), options.seed, options.pictures):
        facts = question.facts
        answer = engine.ask(task.folder / facts["picture"], facts["question"], Sampling(task.max_new_tokens)).text
        picture = f"![{facts['picture']}]({FOLDER}/{facts['picture']})"
        print(f"| {picture} | {facts['question']} | {answer} | {judge(facts, answer)} |", flush=True)


if __name__ == "__main__":
    main()
