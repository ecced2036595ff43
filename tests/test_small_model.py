"""The model small, as `minigemini pull` builds it, answers about real pictures."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from minigemini.inference import Engine
from minigemini.io.pulled_models import pull
from minigemini_models.small.pulled import SMALL

ROOT = Path(__file__).parent.parent
USER_CACHE = os.environ.get("MINIGEMINI_CACHE")
"""Where the user keeps models: pulled once, small serves all later runs of the tests."""

DEMO_ANSWERS = {}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        if USER_CACHE is None:
            patch.delenv("MINIGEMINI_CACHE")
        else:
            patch.setenv("MINIGEMINI_CACHE", USER_CACHE)
        yield pull(SMALL)


@pytest.fixture(scope="module")
def engine(folder) -> Engine:
    return Engine.load(folder)


def test_every_answer_of_the_demo_is_right(engine):
    script = (ROOT / "examples" / "demo.sh").read_text()
    questions = re.findall(r'^ask (\S+) "([^"]+)"$', script, re.MULTILINE)
    assert questions == list(DEMO_ANSWERS)
    answers = {pair: engine.ask(ROOT / "examples" / pair[0], pair[1]).text for pair in questions}
    assert answers == DEMO_ANSWERS
