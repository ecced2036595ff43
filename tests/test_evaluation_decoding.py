"""Batches read what prompts share once, and go on without who has ended: with the answers of one at a time."""

import benchmark_files as files
import pytest
import torch

from minigemini.evaluation.batched_decoding import can_share, split_prompts
from minigemini.evaluation.local_backend import LocalAnswerer
from minigemini.evaluation.runner import Batch, plan_batches
from minigemini.evaluation.task import Question, user
from minigemini.inference import Engine
from minigemini.inference.engine import Sampling

MANY_ENDS = list(range(2, 260, 5))
"""Token ids that end an answer, so that a random model's answers differ in length."""
TWENTY = Sampling(max_new_tokens=20)


def questions() -> list[Question]:
    """Twelve about three pictures, two about two, one about none; of different length."""
    asked = [user(f"What is {'it ' * (n % 5)}?", files.image(n % 3)) for n in range(12)]
    asked += [user(f"Which is {n}?", files.image(0), files.image(1)) for n in range(2)] + [user("Hi")]
    return [Question(f"q{n}", messages, "") for n, messages in enumerate(asked)]


@pytest.fixture
def engine(make_model, make_processor) -> Engine:
    model = make_model()
    model.generation_config.eos_token_id = MANY_ENDS
    return Engine(model, make_processor(model.config), "tiny")


def one_at_a_time(engine: Engine, asked: list[Question]) -> dict[str, str]:
    said = {}
    for question in asked:
        text = question.messages[0]["content"][-1]["text"]
        said[question.id] = engine.ask(list(question.images), text, TWENTY).text.strip()
    return said


def batched(engine: Engine, asked: list[Question]) -> dict[str, str]:
    (_, said), *more = LocalAnswerer(engine, workers=0).answers([Batch("all", tuple(asked))], TWENTY.max_new_tokens)
    assert not more
    return said


def test_what_is_shared_is_read_once_and_the_answers_are_those_of_one_at_a_time(engine):
    expected = one_at_a_time(engine, questions())
    assert len({len(answer) for answer in expected.values()}) > 3
    read = []
    engine.model.model.language_model.register_forward_pre_hook(
        lambda _, given, named: read.append(tuple(named["inputs_embeds"].shape[:2])), with_kwargs=True
    )
    assert batched(engine, questions()) == expected
    beginnings, rests, *steps = read
    assert beginnings[0] == 5  # three pictures, two pictures together, none
    assert rests[0] == len(expected)
    sizes = [rows for rows, columns in steps]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= len(expected) // 4  # who has ended is not carried along
    assert all(columns == 1 for _, columns in steps)


def test_a_model_with_a_window_reads_whole_prompts(make_model, make_processor):
    model = make_model(text_config={"model_type": "mistral", "sliding_window": 8})
    model.generation_config.eos_token_id = MANY_ENDS
    engine = Engine(model, make_processor(model.config), "tiny")
    assert not can_share(model)
    assert batched(engine, questions()) == one_at_a_time(engine, questions())


def test_the_layout_pads_both_parts_and_knows_who_begins_alike():
    prompts = [[1, 9, 9, 5], [1, 9, 9, 6, 7], [1, 9, 9, 6], [1, 4]]
    text = split_prompts(prompts, [(0,), (0,), (1,), ()], image_token_id=9, pad=0, share=True)
    assert text.input_ids.tolist() == [[1, 9, 9, 0, 5], [1, 9, 9, 6, 7], [1, 9, 9, 0, 6], [0, 0, 1, 0, 4]]
    assert torch.equal(text.attention_mask, (text.input_ids != 0).long())
    assert (text.prefix_columns, text.prefix_row, text.lengths) == (3, (0, 0, 2, 3), [4, 5, 4, 2])
    assert split_prompts(prompts, [()] * 4, 9, 0, share=False).input_ids[3].tolist() == [0, 0, 0, 1, 4]


def test_the_questions_about_a_picture_share_a_batch():
    asked = questions()
    batches = plan_batches(asked, {question.id: question.id for question in asked}, batch_size=6)
    assert sorted(question.id for batch in batches for question in batch.questions) == sorted(q.id for q in asked)
    where = {}
    for number, batch in enumerate(batches):
        assert 0 < len(batch.questions) <= 6
        for question in batch.questions:
            where.setdefault(tuple(question.images), set()).add(number)
    assert all(len(numbers) == 1 for numbers in where.values())
    alone = plan_batches(asked, {question.id: question.id for question in asked}, batch_size=2)
    assert all(len(batch.questions) <= 2 for batch in alone)
