"""What should be linear in the size of its input is: operations are counted where possible, not timed."""

import heapq
import pickle
import time

import pytest
import torch
from test_evaluation_runs import questions

from minigemini.data import packing
from minigemini.data.readers import json_files, open_reader, tables
from minigemini.evaluation.response_cache import ResponseCache
from minigemini.evaluation.runner import Batch, run_questions
from minigemini.evaluation.statistics import figure
from minigemini.evaluation.task import Measure, UnitScore
from minigemini.imagegen.captions import CaptionParser
from minigemini.inference import Engine, Sampling
from minigemini.inference.continuous_batching import ContinuousBatcher, _Request
from minigemini.inference.tool_calls import CLOSE, OPEN, ToolCallParser
from minigemini.inference.visual_tokens import VisualTokenCache
from minigemini.io.plots import _running_means


def packed_row_by_row(lengths: list[int], row_length: int) -> list[list[int]]:
    """`pack` as its docstring says it."""
    longest_first = sorted(range(len(lengths)), key=lambda sample: -lengths[sample])
    for count in range(max(1, -(-sum(lengths) // row_length)), len(lengths) + 1):
        rows: list[list[int]] = [[] for _ in range(count)]
        filled = [0] * count
        for sample in longest_first:
            row = filled.index(min(filled))
            rows[row].append(sample)
            filled[row] += lengths[sample]
        if max(filled) <= row_length:
            return sorted(sorted(row) for row in rows)
    return []


def test_packing_searches_the_number_of_rows(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    for trial in range(300):
        size = int(torch.randint(0, 40, (), generator=generator))
        lengths = torch.randint(1, 20 + trial, (size,), generator=generator).tolist()
        assert packing.pack(lengths, 400) == packed_row_by_row(lengths, 400)
    steps = 0

    def counted(heap, item):
        nonlocal steps
        steps += 1
        return replace(heap, item)

    replace = heapq.heapreplace
    monkeypatch.setattr(packing.heapq, "heapreplace", counted)
    assert len(packing.pack([51] * 2000, 100)) == 2000  # no two fit into a row, as their sum does not show
    assert steps <= 12 * 2000  # trying one count after the other: 980 * 2000


def test_a_broken_record_costs_the_same_however_many_are_before_it(tmp_path, monkeypatch):
    broken = '{"id": "a", "conversations": [{"from": "human", "value": "What?"}, {"from" "gpt"}]}'
    (tmp_path / "list.json").write_text("[" + ",\n".join([broken] * 20_000) + "]")
    before, decode = 0, json_files._Window._decode

    def counted(text, start):
        nonlocal before
        before += start  # characters in which `json` counts lines to say where the error is
        return decode(text, start)

    monkeypatch.setattr(json_files._Window, "_decode", staticmethod(counted))
    assert len(open_reader(tmp_path / "list.json", skip_broken=True)) == 20_000
    assert before < 20_000 * 2**18  # in one block of all records: 20_000 * 850_000


@pytest.mark.parametrize("limit", [2**26, 0])
def test_a_table_in_random_order_is_decoded_once_if_it_fits(tmp_path, monkeypatch, limit):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    turns = [[{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "a"}] for n in range(400)]
    table = pyarrow.table({"id": [str(n) for n in range(400)], "messages": turns})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=100)
    monkeypatch.setattr(tables, "MAX_KEPT_BYTES", limit)
    reader = pickle.loads(pickle.dumps(open_reader(tmp_path / "t.parquet")))
    decoded = []
    whole = reader._read
    monkeypatch.setattr(reader, "_read", lambda group: decoded.append(group) or whole(group))
    order = [n * 137 % 400 for n in range(400)]
    assert [reader[row].id for row in order] == [str(row) for row in order]
    assert len(decoded) == 4 if limit else len(decoded) > 300


def test_sampling_copies_each_token_once():
    copied = 0
    request = _Request(
        ids=list(range(100)),
        max_length=2000,
        device=torch.device("cpu"),
        images={},
        hashes=(),
        prefix_tokens=0,
        prefix=None,
        processors=None,
        criteria=[],
        end_ids=set(),
        generator=None,
        do_sample=True,
        is_stopped=lambda: False,
    )
    for token in range(100, 2000):
        before = request._copied
        past = request.past
        copied += past.shape[1] - (before if before <= past.shape[1] else 0)
        assert past.tolist() == [request.ids] if token % 100 == 0 else past.shape == (1, token)
        request.append(token)
    assert copied < 2 * 2000


@pytest.fixture(scope="module")
def engine(make_model, make_processor) -> Engine:
    """In float64, so that equal tokens do not depend on the order of sums."""
    model = make_model(projector_depth=2).double()
    return Engine(model, make_processor(model.config), "tiny")


@pytest.mark.parametrize("shares_batches", [False, True])
def test_a_conversation_encodes_each_image_once(engine, image, shares_batches):
    encoded = []
    whole = engine.model.model.get_image_features

    def count(pixel_values, *args, **kwargs):
        encoded.append(len(pixel_values))
        return whole(pixel_values, *args, **kwargs)

    fresh = Engine(engine.model, engine.processor, "tiny")
    batcher = ContinuousBatcher(engine.model, 2, 4096) if shares_batches else None
    messages, answers = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.model.model, "get_image_features", count)
        for turn in range(5):
            content = [{"type": "image", "image": image(turn)}, {"type": "text", "text": f"Question {turn}?"}]
            messages.append({"role": "user", "content": content})
            answers.append(fresh.stream(messages, Sampling(max_new_tokens=8), batcher=batcher).answer.text)
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answers[-1]}]})
    assert encoded == [1] * 5
    if batcher is not None:
        batcher.close()
    for turn, answer in enumerate(answers):  # as the model itself encodes all of them
        inputs = engine.prompts.inputs(messages[: 2 * turn + 1])
        tokens = engine.model.generate(**inputs, max_new_tokens=8, do_sample=False, num_beams=1)
        new = tokens[0, inputs["input_ids"].shape[1] :]
        assert engine.processor.tokenizer.decode(new, skip_special_tokens=True).strip() == answer


def test_as_many_visual_tokens_are_kept_as_a_prompt_holds(engine, image):
    cache = VisualTokenCache(engine.model)
    cache._max_tokens = 3 * engine.processor.num_image_tokens
    for number in range(5):
        content = [{"type": "image", "image": image(number)}, {"type": "text", "text": "?"}]
        inputs = engine.prompts.inputs([{"role": "user", "content": content}])
        features = cache.encoded(inputs)["mm_encoder_outputs"]["image"].pooler_output
        pixels = {name: inputs[name] for name in ("pixel_values", "high_res_pixel_values")}
        assert torch.equal(features[0], engine.model.get_image_features(**pixels).pooler_output[0])
    assert len(cache._tokens) == 3


def test_progress_of_an_evaluation_asks_the_cache_a_few_times_per_question(tmp_path):
    asked = 0

    class CountingCache(ResponseCache):
        def get(self, key):
            nonlocal asked
            asked += 1
            return super().get(key)

    class Answerer:
        name, identity = "echo", {}

        def answers(self, batches, max_new_tokens):
            for batch in batches:
                assert isinstance(batch, Batch)
                yield batch, {question.id: question.id for question in batch.questions}

    many = questions(400)
    cache = CountingCache(tmp_path)
    run_questions(many, Answerer(), cache, lambda question: question.id, max_new_tokens=1, batch_size=2, title="t")
    assert asked < 12 * len(many)  # all questions after each batch: 200


def test_strata_of_scores_are_found_in_one_pass():
    class Name(str):
        compared = 0

        def __eq__(self, other):
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    scores = tuple(UnitScore(f"u{n}", n % 2, stratum=Name(n % 500)) for n in range(2000))
    assert figure(Measure("accuracy", scores)).units == 2000
    assert Name.compared < 4 * 2000  # 500 for each


def test_a_running_mean_adds_each_value_once():
    class Counted(float):
        added = 0

        def __radd__(self, other):
            Counted.added += 1
            return float(other) + float(self)

    means = _running_means([Counted(n) for n in range(5000)], 100)
    assert Counted.added <= 5000
    assert means[:3] == [0, 0.5, 1]
    assert means[-1] == pytest.approx(4999 - 49.5)
    interrupted = _running_means([1.0, float("nan"), 1.0, 1.0, 1.0], 2)
    assert [value == value for value in interrupted] == [True, False, False, True, True]


def test_long_answers_are_parsed_in_linear_time():
    """Each of these takes milliseconds, and at least 20 s if a piece looks at everything before it."""
    started = time.process_time()
    assert CaptionParser().feed("`" * 200_000 + "x") == "`" * 200_000 + "x"
    parser = CaptionParser()
    parser.feed("<h>" + "a\n" * 100_000)
    assert parser.close() == ""
    assert len(parser.captions[0]) == 199_999
    tools = ToolCallParser()
    tools.feed(OPEN)
    assert not any(tools.feed("a" * 50) for _ in range(20_000))
    assert tools.feed(CLOSE[:5]) == ""
    assert tools.feed(CLOSE[5:] + "b").endswith("a" + CLOSE + "b")
    assert time.process_time() - started < 5
