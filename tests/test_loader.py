"""Batches do not depend on workers or ranks, resume is exact, and bad samples are logged."""

import json
import pickle
import random
from itertools import chain, islice

import pytest
import torch
from transformers import Trainer, TrainingArguments

from minigemini.data.bad_samples import BadSampleLog, TooManyBadSamplesError
from minigemini.data.encoding import SampleEncoder
from minigemini.data.loader import Loader
from minigemini.data.mixture import GlobalBatches, Mixture, Part
from minigemini.data.packing import PackedCollator, PaddedCollator
from minigemini.data.readers import JsonLinesReader, ParquetReader, TarReader, write_parquet, write_tar

ROWS = {"chat": 53, "captions": 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, image):
    """Two sources with images."""
    folder = tmp_path_factory.mktemp("sources")
    for seed in range(3):
        image(seed).save(folder / f"{seed}.png")
    for source, rows in ROWS.items():
        lines = []
        for row in range(rows):
            tags = 1 if source == "captions" else row % 3
            turns = [{"from": "human", "value": "<image>" * tags + "Q" * (row * 7 % 31 + 1)}]
            turns += [{"from": "gpt", "value": f"{source} {row}"}]
            images = [f"{(row + n) % 3}.png" for n in range(tags)]
            lines.append(json.dumps({"id": f"{source} {row}", "image": images, "conversations": turns}))
        (folder / f"{source}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def encoder(tiny_model, make_processor):
    return SampleEncoder(make_processor(tiny_model.config))


@pytest.fixture
def make(folder, encoder, tmp_path):
    """Build loaders that share nothing, as in new processes."""

    def build(kind="packed", size=8, folder=folder, seed=0, encoder=encoder, share=0.0, **kwargs):
        parts = [Part(JsonLinesReader(folder / f"{source}.jsonl", folder), 0.7) for source in ROWS]
        issues = BadSampleLog(tmp_path / "faults.jsonl", share)
        batches = GlobalBatches(Mixture(parts, seed), size, 4, by_length=kind == "padded", megabatch=2)
        collator = PackedCollator(90, 0) if kind == "packed" else PaddedCollator(0)
        return Loader(batches, encoder, collator, issues, **kwargs)

    return build


def endless(loader):
    """Iterate over epochs, as training does."""
    while True:
        yield from loader


def take(loader, batches):
    return list(islice(endless(loader), batches))


def same(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert torch.equal(value, other[name]), name


KINDS = ["packed", "padded"]


@pytest.mark.parametrize("kind", KINDS)
def test_resume_is_exact_at_any_position(kind, make):
    loader, states, batches = make(kind), [], []
    for batch in islice(endless(loader), 26):  # more than three epochs
        batches.append(batch)
        states.append(json.loads(json.dumps(loader.state_dict())))
    assert len(json.dumps(states[-1])) < 250
    for position in [0, *random.Random(0).sample(range(24), 6)]:
        resumed = make(kind)
        resumed.load_state_dict(states[position])
        same(take(resumed, 25 - position), batches[position + 1 :])
        assert resumed.state_dict() == states[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_workers_change_nothing(kind, make):
    expected = make(kind)
    batches = take(expected, 14)
    for workers in (1, 2):
        loader = make(kind, workers=workers)
        same(take(loader, 5), batches[:5])
        state = loader.state_dict()
        resumed = make(kind, workers=workers)
        resumed.load_state_dict(state)
        same(take(resumed, 9), batches[5:])
        assert resumed.state_dict() == expected.state_dict()


@pytest.fixture
def answers(encoder):
    """Read the ids of the samples in each batch from their answers."""

    def read(batches) -> list[list[str]]:
        trained = (batch["labels"][batch["labels"] != -100] for batch in batches)
        return [sorted(encoder.processor.tokenizer.decode(ids).split("<eos>")[:-1]) for ids in trained]

    return read


def test_ranks_split_the_batches_of_one_rank(make, answers):
    alone = make()
    expected = answers(take(alone, 2 * len(alone)))
    for world in (2, 3):
        ranks = [answers(take(make(rank=rank, world_size=world), 18)) for rank in range(world)]
        assert [sorted(chain(*shares)) for shares in zip(*ranks, strict=True)] == expected
    assert len(alone) == 9
    first = list(chain(*expected[:9]))
    assert len(first) == len(set(first)) == round(0.7 * 53) + 28


def test_resume_with_another_number_of_ranks(make, answers):
    loader = make()
    take(loader, 5)
    ranks = []
    for rank in range(2):
        resumed = make(rank=rank, world_size=2)
        resumed.load_state_dict(loader.state_dict())
        ranks.append(answers(take(resumed, 3)))
    assert [sorted(a + b) for a, b in zip(*ranks, strict=True)] == answers(take(loader, 3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_global_generator_unchanged(kind, workers, make):
    torch.manual_seed(3)
    take(make(kind, workers=workers), 3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))


@pytest.mark.parametrize("change", [{"seed": 1}, {"size": 4}])
def test_state_of_other_data_is_refused(change, make):
    loader = make()
    take(loader, 1)
    with pytest.raises(ValueError, match="the state belongs to data"):
        make(**change).load_state_dict(loader.state_dict())


def test_ranks_count_from_zero(make):
    with pytest.raises(ValueError, match="rank 2 is out of range for world_size=2"):
        make(rank=2, world_size=2)


@pytest.fixture
def broken(folder, tmp_path):
    """The same sources with five invalid captions of unchanged length, so that the order is the same."""
    copy = tmp_path / "broken"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    lines = (copy / "captions.jsonl").read_text().splitlines()
    (copy / "8.png").write_bytes((copy / "0.png").read_bytes()[:500])
    lines[3] = lines[3].replace("0.png", "9.png")
    lines[7] = lines[7].replace("1.png", "8.png")
    lines[11] = lines[11].replace('captions 11"}]', " " * 11 + '"}]')
    lines[20] = lines[20][:-1] + " "
    lines[30] = lines[30].replace("<image>", "       ")
    (copy / "captions.jsonl").write_text("\n".join(lines) + "\n")
    return copy


ISSUES = {
    "captions 3": "unreadable picture",
    "captions 7": "unreadable picture",
    "captions 11": "empty answer",
    "row 20": "not JSON",
    "captions 30": "picture without an image tag",
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["packed", "padded"])
def test_bad_samples_are_logged_and_not_replaced(kind, workers, make, broken, answers, tmp_path):
    whole, loader = make(kind), make(kind, folder=broken, share=1.0, workers=workers)
    assert len(loader) == 9
    epochs = 3  # at weight 0.7, each sample is in some epoch of three
    missing = [
        sorted(set(theirs) - set(ours))
        for theirs, ours in zip(answers(take(whole, 9 * epochs)), answers(take(loader, 9 * epochs)), strict=True)
    ]
    listed = [json.loads(line) for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert {entry["id"]: entry["fault"] for entry in listed} == ISSUES
    assert all(entry["source"] == "captions.jsonl" and entry["reason"] for entry in listed)
    names = [entry["id"].replace("row", "captions") for entry in listed]
    assert sorted(names) == sorted(chain(*missing))
    order = [whole.batches.mixture[int(n)].id for epoch in range(epochs) for n in whole.batches.epoch(epoch)]
    assert [order[entry["position"]] for entry in listed] == names
    assert loader.state_dict()["seen"] == epochs * 65
    assert sum(loader.state_dict()["faults"].values()) == len(listed)


@pytest.mark.parametrize("kind", KINDS)
def test_resume_does_not_count_bad_samples_twice(kind, make, broken):
    loader = make(kind, folder=broken, share=1.0)
    take(loader, 9)
    state = loader.state_dict()
    take(loader, 9)
    resumed = make(kind, folder=broken, share=1.0)
    resumed.load_state_dict(state)
    take(resumed, 9)
    assert resumed.state_dict() == loader.state_dict()
    assert sum(state["faults"].values()) >= 3


def test_a_batch_of_bad_samples_is_empty_but_delivered(make, broken):
    loader = make(size=1, folder=broken, share=1.0)
    empty = [batch for batch in take(loader, 65) if "pixel_values" not in batch and (batch["labels"] == -100).all()]
    assert len(empty) == sum(loader.state_dict()["faults"].values()) >= 3
    assert all(batch["input_ids"].shape == (1, 1) for batch in empty)


def test_too_many_bad_samples_stop_the_run(make, broken, tmp_path):
    message = (
        r"4 of \d+ samples are bad, more than max_bad_sample_ratio=0.003 allows: .* \(\d\), .*\. "
        r"All are listed in .*faults.jsonl; correct or remove them"
    )
    with pytest.raises(TooManyBadSamplesError, match=message):
        take(make(folder=broken, share=0.003), 100)
    assert len((tmp_path / "faults.jsonl").read_text().splitlines()) == 4
    with pytest.raises(TooManyBadSamplesError, match="1 of"):
        take(make(folder=broken, share=0.0), 100)
    with pytest.raises(ValueError, match="give a ratio from 0 to 1"):
        make(share=2)


def test_the_ratio_counts_at_least_1000_samples(tmp_path):
    log = BadSampleLog(tmp_path / "x", 0.01)
    log.counts["not JSON"] = 10
    log.check(5)  # 10 of 1000, the minimum
    log.counts["not JSON"] = 11
    log.check(1100)
    with pytest.raises(TooManyBadSamplesError):
        log.check(1099)


def test_workers_read_every_format(folder, encoder, tmp_path):
    """Workers cannot use what the parent opened, such as Arrow's threads, whether they are forked or spawned."""
    source = JsonLinesReader(folder / "captions.jsonl", folder)
    samples = [source[row] for row in range(24)]
    write_parquet(samples, tmp_path / "0.parquet")
    write_tar(samples, tmp_path / "0.tar")
    opened = [source, ParquetReader([tmp_path / "0.parquet"]), TarReader([tmp_path / "0.tar"])]
    assert {reader[0].id for reader in opened} == {"captions 0"}
    batches = GlobalBatches(Mixture([Part(reader, samples=24) for reader in opened]), 8, 4)
    loaders = [
        Loader(
            *pickle.loads(pickle.dumps((batches, encoder, PaddedCollator(0)))),
            BadSampleLog(tmp_path / "x", 0.0),
            workers=n,
        )
        for n in (0, 2)
    ]
    same(take(loaders[1], 9), take(loaders[0], 9))


def test_trainer_iterates_over_epochs(make, make_model, tmp_path):
    """Transformers' Trainer sees every sample once per epoch."""
    loader, steps = make(), []

    class Plain(Trainer):
        def get_train_dataloader(self):
            return loader

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            steps.append(inputs["labels"].shape)
            return super().compute_loss(model, {**inputs, "return_logits": False}, return_outputs, num_items_in_batch)

    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=2,
        gradient_accumulation_steps=2,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Plain(make_model(), arguments, train_dataset=[None])
    trainer.train()
    assert trainer.state.global_step == 2 * 5  # nine batches, two per step
    assert len(steps) == 2 * 9
    assert (loader.epoch, loader.batch) == (2, 0)
    assert loader.state_dict()["seen"] == 2 * len(loader.batches.mixture)
