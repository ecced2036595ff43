"""Synthetic training data: rows depend on their number only, shards keep them, and the seed loader batches them."""

from itertools import islice

import numpy as np
import pytest
from PIL import Image

from minigemini.data.readers import write_parquet, write_tar
from minigemini.data.schema import text_of
from minigemini.data.seed_loader import SeedLoader
from minigemini.images.safe_images import open_image
from minigemini.training.batches import open_part
from minigemini.training.recipe import DataPart
from minigemini.training.settings import RecipeError
from minigemini_models.samples.dataset import SYNTHETIC, SyntheticReader, synthetic_dialog


def pixels(sample):
    return [np.asarray(p if isinstance(p, Image.Image) else open_image(p)) for p in sample.images]


def same(ours, theirs):
    assert [dict(message) for message in ours.messages] == [dict(message) for message in theirs.messages]
    assert all(np.array_equal(a, b) for a, b in zip(pixels(ours), pixels(theirs), strict=True))


@pytest.mark.parametrize("what", SYNTHETIC)
def test_rows_depend_on_their_number_only(what):
    reader, longer = (open_part(DataPart(f"synthetic:{what}#{rows}")) for rows in (20, 40))
    assert len(reader) == len(reader.images) == len(reader.text_bytes) == 20
    for row in range(3):
        same(reader[row], longer[row])
    assert text_of(reader[0].messages[1]) == synthetic_dialog(what, 0).turns[0].answer


def test_kinds_have_the_right_number_of_images():
    reader = SyntheticReader("lessons", 16)
    sizes = [len(reader[row].images) for row in range(16)]
    assert sizes == reader.images.tolist()
    assert {1, 2} == set(sizes)
    assert {image.size for image in SyntheticReader("page-lists", 3)[1].images} == {(512, 512)}
    assert len(SyntheticReader("captions", 1)[0].messages) == 2
    requests = SyntheticReader("requests", 8)
    assert [len(requests[row].images) for row in range(8)] == requests.images.tolist()
    assert {0, 1} == set(requests.images.tolist())


@pytest.mark.parametrize(("write", "name"), [(write_tar, "s.tar"), (write_parquet, "s.parquet")])
def test_synthetic_samples_survive_a_round_trip_through_shards(write, name, tmp_path):
    drawn = SyntheticReader("lessons", 8)
    rows = [drawn[row] for row in (0, 7)]
    write(rows, tmp_path / name)
    kept = open_part(DataPart(str(tmp_path / name)))
    for row, sample in enumerate(rows):
        same(kept[row], sample)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("synthetic:poems#3", "unknown synthetic data; choose from captions, lessons, requests, copying"),
        ("synthetic:lessons", "give the number of samples, e.g. synthetic:lessons#1000"),
        ("synthetic:lessons#0", "give the number of samples"),
        ("synthetic:lessons#many", "give the number of samples"),
    ],
)
def test_invalid_sources_raise_an_error(source, message):
    with pytest.raises(RecipeError, match=message):
        open_part(DataPart(source))


def test_data_parts_round_trip_as_text():
    part = DataPart.parse("synthetic:lessons#100*0.5")
    assert (part.file, part.weight) == ("synthetic:lessons#100", 0.5)
    assert str(part) == "synthetic:lessons#100*0.5"


# Samples by their number


def number(index):
    return index


def loader(**changes):
    return SeedLoader(number, list, **{"steps": 10, "size": 4, **changes})


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_continue_with_any_number_of_workers(workers):
    ours = loader(workers=workers)
    assert list(islice(ours, 3)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert (ours.batch, len(ours)) == (3, 10)
    again = loader(workers=workers)
    again.load_state_dict(ours.state_dict())
    assert next(iter(again)) == [12, 13, 14, 15]


def test_another_seed_has_other_samples():
    first, other = (next(iter(loader(seed=seed))) for seed in (0, 2))
    assert other[0] - first[0] > 2**40
    assert other == list(range(other[0], other[0] + 4))


def test_ranks_share_a_batch():
    shares = [next(iter(loader(rank=rank, world_size=2))) for rank in range(2)]
    assert shares == [[0, 2], [1, 3]]
    with pytest.raises(ValueError, match="ranks count from 0"):
        loader(rank=2, world_size=2)


def test_a_state_of_other_batches_is_refused():
    with pytest.raises(ValueError, match="batches of 8 samples, but the batch size is 4"):
        loader().load_state_dict(loader(size=8).state_dict())
