"""What a step learns when: one mixture of skills, whose weights move with the progress of the run."""

from collections.abc import Mapping
from itertools import pairwise

from minigemini.data.curriculum import Curriculum
from minigemini.training.recipe import DataPart

LANGUAGE_MIXTURE: dict[str, str] = {
    "copying": "0:40/0.04:40/0.06:2/0.3:1/0.5:0.3",
    "sign": "0:12/0.3:12/0.5:6",
    "name": "0:4/0.2:4/0.4:2",
    "color-lists": "0:6/0.1:6/0.25:0.5",
    "color-questions": "0.03:0/0.1:4/0.3:4/0.5:1",
    "color-names": "0.05:0/0.15:2",
    "presence-lists": "0.03:0/0.1:4/0.3:4/0.4:0.5",
    "presence-questions": "0.1:0/0.2:4/0.5:4/0.7:1",
    "near-misses": "0.2:0/0.3:3",
    "halves": "0.05:0/0.15:3/0.3:3/0.4:0.5",
    "relation-lists": "0.1:0/0.2:4/0.5:4/0.7:1",
    "relation-questions": "0.25:0/0.4:4",
    "beside": "0.15:0/0.3:4",
    "caption": "0:1/0.2:2",
    "counting": "0.05:0/0.1:3",
    "words": "0.1:0/0.2:3",
    "text": "0.2:0/0.3:2",
    "pair-lists": "0.15:0/0.25:3/0.5:3/0.6:1",
    "pair-questions": "0.25:0/0.4:3",
    "comparisons": "0.25:0/0.4:3",
    "conversation": "0.2:0/0.4:3",
    "follow-ups": "0.2:0/0.3:2",
    "unanswerable": "0.1:0/0.3:2",
    "drawing": "0.2:0/0.3:3",
}
"""Weight of each skill over the run, as `PROGRESS:WEIGHT/…`: copying before reading, lists before questions, one text
before several."""

LANGUAGE_MIXTURES: dict[str, dict[str, str]] = {
    "whole": LANGUAGE_MIXTURE,
    "small": {
        "copying": "0:20/0.04:20/0.08:2/0.3:0.5",
        "sign": "0:6/0.3:6/0.6:3",
        "name": "0:3/0.2:1",
        "color-lists": "0:6/0.15:6/0.3:1",
        "color-questions": "0.05:0/0.15:4/0.5:2",
        "color-names": "0.1:0/0.2:3",
        "presence-lists": "0.05:0/0.15:3/0.4:1",
        "presence-questions": "0.15:0/0.3:3",
        "near-misses": "0.2:0/0.3:3",
        "halves": "0.05:0/0.15:3/0.4:0.5",
        "relation-lists": "0.1:0/0.2:3/0.5:1",
        "relation-questions": "0.2:0/0.4:3",
        "beside": "0.15:0/0.3:3",
        "caption": "0:1/0.2:3",
        "counting": "0.05:0/0.1:3",
        "conversation": "0.2:0/0.4:3",
    },
}
"""The mixture of the language model by `Pretraining.world`."""

INSTRUCT_MIXTURE: dict[str, str] = {
    "sign": "0:8/0.3:8/0.6:6",
    "words": "0:1/0.2:3",
    "text": "0:0/0.2:2",
    "name": "0:5/0.2:5/0.5:4",
    "caption": "0:3/0.3:2",
    "color-lists": "0:4/0.3:4/0.5:0.5",
    "color-questions": "0:1/0.2:4/0.6:3",
    "color-names": "0:1/0.1:3",
    "presence-lists": "0.05:0/0.1:3/0.4:3/0.5:0.5",
    "presence-questions": "0.1:0/0.2:2",
    "near-misses": "0.1:0/0.2:3",
    "halves": "0.05:0/0.1:1/0.3:0.5",
    "relation-lists": "0.1:0/0.15:2/0.4:0.5",
    "relation-questions": "0.15:0/0.3:2",
    "beside": "0.1:0/0.2:4",
    "counting": "0.05:0/0.1:4",
    "pair-lists": "0.1:0/0.2:2/0.4:0.5",
    "pair-questions": "0.15:0/0.3:2",
    "comparisons": "0.15:0/0.3:3",
    "conversation": "0.1:0/0.2:4",
    "follow-ups": "0.1:0/0.2:2",
    "unanswerable": "0.1:0/0.2:2",
    "requests": "0.1:0/0.2:3",
    "refusals": "0.1:0/0.2:2",
}
"""The same with pictures: reading and naming first, since the connector's tokens are not yet those of perfect eyes."""

HD_MIXTURE: dict[str, str] = {
    "page-line": "0:6/0.3:2",
    "page-lists": "0:3/0.3:3/0.6:1",
    "page-questions": "0:0/0.2:4/0.4:8",
    "sign": "0:1",
    "conversation": "0:1",
    "refusals": "0:0.5",
}
"""Pages; a few scenes keep the earlier skills."""

_GRID = 20
"""Steps in which the weights of a mixture become those of its parts."""


def mixture_parts(weights: Mapping[str, str], samples: int) -> tuple[DataPart, ...]:
    """Return a mixture as sources of a recipe, with about `samples` samples in all.

    Each source has as many samples as the mixture takes of it, at the progress at which it takes them.

    Args:
        weights: curriculum of each kind of `samples.dataset.SYNTHETIC`, relative to the others.
        samples: samples of the run.
    """
    progress = [step / _GRID for step in range(_GRID + 1)]
    curves = [[curriculum.weight(at) for at in progress] for curriculum in map(Curriculum.parse, weights.values())]
    totals = [sum(column) for column in zip(*curves, strict=True)]
    parts = []
    for name, curve in zip(weights, curves, strict=True):
        shares = [weight / total for weight, total in zip(curve, totals, strict=True)]
        mean = sum(one + other for one, other in pairwise(shares)) / 2 / _GRID
        by_progress = "/".join(f"{at:g}:{share:.3g}" for at, share in zip(progress, shares, strict=True))
        parts.append(DataPart(f"synthetic:{name}#{max(1, round(samples * mean))}", curriculum=by_progress))
    return tuple(parts)
