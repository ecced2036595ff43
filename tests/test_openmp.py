"""OpenMP's threads of the calling thread are released while another one decodes."""

import time
from pathlib import Path

import pytest
import torch

from minigemini.inference.engine import Engine
from minigemini.inference.openmp import _gnu_runtime, release_openmp_threads

pytestmark = pytest.mark.skipif(_gnu_runtime() is None, reason="torch comes without GNU's OpenMP runtime")


@pytest.fixture
def team():
    """A team of three threads of the calling thread; returns how many threads the process has without it."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)  # starts threads of other libraries
    release_openmp_threads()
    without = count_threads()
    torch.ones(2**20).add(1)
    assert count_threads() == without + 2
    yield without
    release_openmp_threads()
    torch.set_num_threads(before)


def count_threads():
    return len(list(Path("/proc/self/task").iterdir()))


def settled_threads():
    """How many threads there are when those that loaded a model have ended."""
    counts = [count_threads()]
    while len(counts) < 3 or len(set(counts[-3:])) > 1:
        time.sleep(0.2)
        counts.append(count_threads())
    return counts[-1]


def test_threads_end_and_come_back(team):
    release_openmp_threads()
    assert count_threads() == team
    assert torch.ones(2**20).add(1).sum() == 2**21
    assert count_threads() == team + 2


def test_threads_are_released_before_an_answer_is_decoded(team, tiny_checkpoint, monkeypatch):
    engine = Engine.load(tiny_checkpoint, "cpu")
    torch.ones(2**20).add(1)
    counted = []
    generate = engine.model.generate

    def count_and_generate(*args, **kwargs):
        counted.append(count_threads())
        return generate(*args, **kwargs)

    monkeypatch.setattr(engine.model, "generate", count_and_generate)
    before = settled_threads()
    engine.ask((), "What is this?")
    assert counted == [before - 2 + 1]  # without the team, and with the thread of the answer
