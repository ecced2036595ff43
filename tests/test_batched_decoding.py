"""Batched decoding shares prefixes and drops finished sequences, with the same answers as one at a time."""

import benchmark_files as files
import pytest
import torch

from minigemini.evaluation.batched_decoding import split_prompts
from minigemini.evaluation.local_backend import LocalAnswerer
from minigemini.evaluation.runner import Batch, plan_batches
from minigemini.evaluation.task import Question, user
from minigemini.inference import Engine
from minigemini.inference.engine import Sampling
from minigemini.inference.slot_cache import can_share

MANY_END_IDS = list(range(2, 260, 5))
"""End token ids, so that a random model's answers differ in length."""
TWENTY = Sampling(max_new_tokens=20)


def questions() -> list[Question]:
    """Twelve questions about three images, two about two images, one without; of different lengths."""
    messages = [user(f"What is {'it ' * (n % 5)}?", files.image(n % 3)) for n in range(12)]
    messages += [user(f"Which is {n}?", files.image(0), files.image(1)) for n in range(2)] + [user("Hi")]
    return [Question(f"q{n}", message, "") for n, message in enumerate(messages)]


@pytest.fixture
def engine(make_model, make_processor) -> Engine:
    model = make_model()
    model.generation_config.eos_token_id = MANY_END_IDS
    return Engine(model, make_processor(model.config), "tiny")


def one_at_a_time(engine: Engine, asked: list[Question]) -> dict[str, str]:
    answers = {}
    for question in asked:
        text = question.messages[0]["content"][-1]["text"]
        answers[question.id] = engine.ask(list(question.images), text, TWENTY).text.strip()
    return answers


def batched(engine: Engine, asked: list[Question]) -> dict[str, str]:
    (_, answers), *more = LocalAnswerer(engine, workers=0).answers([Batch("all", tuple(asked))], TWENTY.max_new_tokens)
    assert not more
    return answers


def test_prefixes_are_computed_once_and_answers_are_unchanged(engine):
    expected = one_at_a_time(engine, questions())
    assert len({len(answer) for answer in expected.values()}) > 3
    shapes = []
    engine.model.model.language_model.register_forward_pre_hook(
        lambda _, given, named: shapes.append(tuple(named["inputs_embeds"].shape[:2])), with_kwargs=True
    )
    assert batched(engine, questions()) == expected
    prefixes, suffixes, *steps = shapes
    assert prefixes[0] == 5  # three images, two images together, none
    assert suffixes[0] == len(expected)
    sizes = [rows for rows, columns in steps]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= len(expected) // 4  # finished sequences are dropped
    assert all(columns == 1 for _, columns in steps)


def test_sliding_window_model_does_not_share_prefixes(make_model, make_processor):
    model = make_model(text_config={"model_type": "mistral", "sliding_window": 8})
    model.generation_config.eos_token_id = MANY_END_IDS
    engine = Engine(model, make_processor(model.config), "tiny")
    assert not can_share(model)
    assert batched(engine, questions()) == one_at_a_time(engine, questions())


def test_split_prompts_pads_both_parts_and_finds_equal_prefixes():
    prompts = [[1, 9, 9, 5], [1, 9, 9, 6, 7], [1, 9, 9, 6], [1, 4]]
    text = split_prompts(prompts, [(0,), (0,), (1,), ()], image_token_id=9, pad=0, share=True)
    assert text.input_ids.tolist() == [[1, 9, 9, 0, 5], [1, 9, 9, 6, 7], [1, 9, 9, 0, 6], [0, 0, 1, 0, 4]]
    assert torch.equal(text.attention_mask, (text.input_ids != 0).long())
    assert (text.prefix_columns, text.prefix_row, text.lengths) == (3, (0, 0, 2, 3), [4, 5, 4, 2])
    assert split_prompts(prompts, [()] * 4, 9, 0, share=False).input_ids[3].tolist() == [0, 0, 0, 1, 4]


def test_questions_about_an_image_share_a_batch():
    asked = questions()
    batches = plan_batches(asked, {question.id: question.id for question in asked}, batch_size=6)
    assert sorted(question.id for batch in batches for question in batch.questions) == sorted(q.id for q in asked)
    where = {}
    for number, batch in enumerate(batches):
        assert 0 < len(batch.questions) <= 6
        for question in batch.questions:
            where.setdefault(tuple(question.images), set()).add(number)
    assert all(len(numbers) == 1 for numbers in where.values())
    small = plan_batches(asked, {question.id: question.id for question in asked}, batch_size=2)
    assert all(len(batch.questions) <= 2 for batch in small)
