"""The order of samples is a function of seed and epoch, and every sample is in exactly one batch."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from minigemini.data.curriculum import Curriculum
from minigemini.data.mixture import GlobalBatches, Mixture, Part, shuffled
from minigemini.data.schema import Sample


@dataclass
class Numbers:
    """A source of numbered samples; every third has no image."""

    name: str
    rows: int

    def __post_init__(self):
        self.images = (np.arange(self.rows) % 3 > 0).astype(np.int32)
        self.text_bytes = (np.arange(self.rows, dtype=np.int32) * 7919) % 4000

    def __len__(self):
        return self.rows

    def __getitem__(self, row):
        return Sample(f"{self.name}{row}", self.name, ())


def make(seed=0, **weights):
    sources = {"a": 100, "b": 7, "c": 1000}
    return Mixture([Part(Numbers(name, sources[name]), weights.get(name, 1.0)) for name in sources], seed)


def test_permutation_is_pinned():
    """With another order, a run could not be resumed."""
    assert shuffled(8, 3, 1).tolist() == [3, 6, 4, 0, 1, 7, 2, 5]
    for count in (0, 1, 1000):
        assert sorted(shuffled(count, 5)) == list(range(count))
    ranks = np.array([np.argsort(shuffled(5, 0, key)) for key in range(20_000)])
    assert abs(ranks.mean(0) - 2).max() < 0.05  # four standard deviations
    assert len({tuple(rank) for rank in ranks}) == 120


def test_weights_are_passes():
    mixture = make(a=0.25, b=2, c=0.1)
    assert len(mixture) == 25 + 14 + 100
    epochs = [Counter(mixture[number].id for number in mixture.epoch(n)) for n in range(4)]
    assert set(epochs[0].values()) == {1, 2}
    assert all(epoch[f"b{row}"] == 2 for epoch in epochs for row in range(7))
    together = sum(epochs, Counter())
    assert all(together[f"a{row}"] == 1 for row in range(100))  # four quarters
    assert (
        sum(together[f"c{row}"] for row in range(1000))
        == 400
        == sum(row in together for row in map("c{}".format, range(1000)))
    )


def test_samples_instead_of_weight():
    mixture = Mixture([Part(Numbers("a", 10), samples=25)])
    counts = [Counter(mixture.epoch(n).tolist()) for n in range(2)]
    assert [sorted(set(count.values())) for count in counts] == [[2, 3], [2, 3]]
    assert set((counts[0] + counts[1]).values()) == {5}


@pytest.mark.parametrize("weights", [{"a": -1}, {"a": 0, "b": 0, "c": 0}])
def test_empty_epochs_are_refused(weights):
    with pytest.raises(ValueError, match="give weights above 0"):
        make(**weights)


def test_order_depends_only_on_seed_and_epoch():
    assert (make().epoch(5) == make().epoch(5)).all()
    assert (make().epoch(5) != make().epoch(6)).any()
    assert (make(1).epoch(5) != make().epoch(5)).any()
    assert len({make().fingerprint(), make(1).fingerprint(), make(a=2).fingerprint()}) == 3
    assert make().fingerprint() == make().fingerprint()


def test_batches_hold_every_sample_once_and_group_them():
    mixture = make()
    batches = GlobalBatches(mixture, 16, tokens_per_image=576, megabatch=10)
    order = batches.epoch(2)
    assert sorted(order) == sorted(mixture.epoch(2))
    whole = order[: len(order) // 16 * 16].reshape(-1, 16)
    modalities = mixture.images[whole] > 0
    assert np.count_nonzero(modalities.any(1) & ~modalities.all(1)) <= 1  # remainders of both
    lengths = mixture.lengths(576)[whole]
    assert np.median(np.ptp(lengths, axis=1)) < np.ptp(lengths) / 10
    first = modalities[:, 0]
    assert 0.5 < first[: len(first) // 2].mean() / first[len(first) // 2 :].mean() < 2  # modalities alternate
    assert len(batches) == -(-len(mixture) // 16)


@pytest.mark.parametrize("by_modality", [True, False])
@pytest.mark.parametrize("by_length", [True, False])
@pytest.mark.parametrize("size", [1, 5, 2000])
def test_grouping_is_optional(by_modality, by_length, size):
    mixture = make()
    orders = {n: GlobalBatches(mixture, size, 4, by_modality=by_modality, by_length=by_length).epoch(n) for n in (0, 1)}
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(1107))
    assert (orders[0] != orders[1]).any()


def test_fingerprints_of_batches():
    choices = [{}, {"by_length": False}, {"by_modality": False}, {"megabatch": 3}]
    prints = {GlobalBatches(make(), 4, 9, **choice).fingerprint() for choice in choices}
    assert len(prints | {GlobalBatches(make(), 5, 9).fingerprint(), GlobalBatches(make(), 4, 8).fingerprint()}) == 6


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 1, "megabatch": 0}])
def test_sizes_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="must be at least 1"):
        GlobalBatches(make(), tokens_per_image=1, **wrong)


def moving(seed=0):
    """Of the sources, `a` ends in the middle, `b` comes evenly and `c` grows."""
    curricula = {"a": "0:1/0.5:0", "b": None, "c": "0:0/1:1"}
    return Mixture(
        [
            Part(Numbers(name, 1200), weight, curriculum=text and Curriculum.parse(text))
            for (name, text), weight in zip(curricula.items(), (0.5, 1, 2), strict=True)
        ],
        seed,
    )


@pytest.mark.parametrize("grouped", [True, False])
def test_weights_move_with_progress(grouped):
    mixture = moving()
    batches = GlobalBatches(mixture, 10, 4, by_length=grouped, by_modality=grouped, megabatch=5)
    for order in (mixture.epoch(1), batches.epoch(1)):
        assert sorted(order) == sorted(mixture.epoch(1))
        parts = np.array([mixture.part_of(index) for index in order])
        spread = [np.flatnonzero(parts == part) for part in range(3)]
        assert list(map(len, spread)) == [600, 1200, 2400]
        quarters = np.array([np.histogram(at, 4, (0, len(order)))[0] for at in spread])
        # In time, a comes in 3/4 and 1/4 in the first two quarters, and c in 1, 3, 5 and 7 sixteenths.
        time = np.quantile(spread[1], (0.25, 0.5, 0.75))  # b comes evenly
        assert np.mean(spread[0] < time[0]) == pytest.approx(0.75, abs=0.03)
        assert np.mean(spread[0] < time[1]) == pytest.approx(1, abs=0.03)
        assert [np.mean(spread[2] < at) for at in time] == pytest.approx([1 / 16, 4 / 16, 9 / 16], abs=0.03)
        assert quarters[2, 0] < quarters[2, 3]


def test_an_order_that_moves_depends_on_seed_epoch_and_curriculum():
    assert (moving().epoch(2) == moving().epoch(2)).all()
    assert (moving().epoch(2) != moving().epoch(3)).any()
    even = Mixture([Part(part.reader, part.weight) for part in moving().parts])
    assert len({even.fingerprint(), moving().fingerprint(), moving(1).fingerprint()}) == 3


def test_a_constant_curriculum_keeps_shares_everywhere():
    parts = [Part(Numbers(name, 500), curriculum=Curriculum(((0.0, 3.0),))) for name in "ab"]
    order = Mixture(parts).epoch(0)
    assert abs(np.mean(order[:100] < 500) - 0.5) < 0.02


WRONG = [
    "",
    "1",
    "0:1/0:2",
    "0.5:1/0.2:1",
    "-1:1",
    "0:1/2:1",
    "0:-1",
    "0:0",
    "0:0/1:0",
    "0:nan",
    "0:inf",
    "a:b",
    "0:1//1:1",
]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_curricula_are_refused(text):
    with pytest.raises(ValueError, match=r"0:1/0\.5:0"):
        Curriculum.parse(text)
