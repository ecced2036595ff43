"""lmms-eval runs our models and tasks, and its rules equal ours. `make test-eval` runs this in its own environment."""

import random
import string
from pathlib import Path

import benchmark_files as files
import pytest
import torch
from PIL import Image

pytest.importorskip("lmms_eval")

from lmms_eval.api.instance import Instance
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.models import get_model
from lmms_eval.tasks import TaskManager
from lmms_eval.tasks._task_utils.vqa_eval_metric import EvalAIAnswerProcessor
from lmms_eval.tasks.mme.utils import parse_pred_ans
from lmms_eval.tasks.mmmu.utils import eval_open, parse_multi_choice_response, parse_open_response

import minigemini.evaluation.lmms_eval as integration
from minigemini.evaluation.evaluate import evaluate
from minigemini.evaluation.local_backend import LocalAnswerer
from minigemini.evaluation.registry import tasks
from minigemini.evaluation.response_cache import ResponseCache
from minigemini.evaluation.scorers.choices import parse_choice, yes_or_no
from minigemini.evaluation.scorers.numbers import open_is_right
from minigemini.evaluation.scorers.vqa import CONTRACTIONS, normalize_answer
from minigemini.inference import Engine, RequestError
from minigemini.inference.engine import Sampling

TASK_FILES = Path(integration.__path__[0]) / "tasks"
PIECES = [
    *("a", "the", "ten", "dont", "12", "1,000", "3.5", ".", "..", "?", "!", "-", "/", "it's", "Zero", "none", "é", "'"),
    *(
        "\n",
        "\t",
        "youd've",
        "U.S.A.",
        "(b)",
        '"q"',
        "100%",
        "$5",
        "yes",
        "No",
        "so ",
        "is ",
        "= ",
        "-2",
        "1e3",
        "answer ",
    ),
    *("A", "B", "(C)", "D.", "red", "blue car", "C:", "E", "because"),
]


def sentences(count: int):
    rng = random.Random(0)
    for _ in range(count):
        yield "".join(rng.choice(PIECES) + rng.choice(["", " "]) for _ in range(rng.randint(0, 9)))


def test_rules_equal_those_of_lmms_eval():
    official = EvalAIAnswerProcessor()
    options = ["red", "blue car", "a dog", "12"]
    letters = dict(zip(string.ascii_uppercase, options, strict=False))
    lower = {word: form for word, form in official.CONTRACTIONS.items() if word == word.lower() and word != form}
    assert lower.items() <= CONTRACTIONS.items()
    for said in sentences(5000):
        assert normalize_answer(said) == official(said), said
        assert yes_or_no(said) == parse_pred_ans(said), said
        assert open_is_right(said, ["12", "red"]) == eval_open(["12", "red"], parse_open_response(said)), said
        if (letter := parse_choice(said, options)) is not None:
            assert letter == parse_multi_choice_response(said, list(letters), letters), said


@pytest.fixture(scope="module")
def chat(tiny_checkpoint):
    return get_model("minigemini")(pretrained=str(tiny_checkpoint), device="cpu", batch_size=4, workers=0)


def run(model, name: str, **settings):
    manager = TaskManager(include_path=str(TASK_FILES), include_defaults=False)
    return simple_evaluate(model=model, tasks=[name], task_manager=manager, **settings)


def test_every_task_file_names_a_task():
    manager = TaskManager(include_path=str(TASK_FILES), include_defaults=False)
    assert set(manager.all_subtasks) | set(manager.all_tasks) == {
        f"minigemini_{name}" for name in tasks() if name != "mmmu_test"
    }


@pytest.mark.parametrize("name", ["mme", "textvqa_ocr", "mmbench", "synthetic-basic"])
def test_a_hosted_task_scores_as_our_own_run(chat, name, tiny_checkpoint, tmp_path, monkeypatch):
    files.mme(tmp_path, {"count": 3, "code_reasoning": 1})
    files.textvqa(tmp_path, {f"q{n}": ["nokia"] * 10 for n in range(5)})
    row = {"index": 7, "question": "What?", "A": "a cat", "B": "a dog", "answer": "A", "category": "animals"}
    files.mmbench(tmp_path, [row, {**row, "index": 8}])
    monkeypatch.setenv("MINIGEMINI_EVAL_DATA", str(tmp_path))
    monkeypatch.setenv("MINIGEMINI_EVAL_LIMIT", "2")
    found = run(chat, f"minigemini_{name}")
    task = tasks()[name]
    local = LocalAnswerer(Engine.load(tiny_checkpoint, "cpu"), workers=0)
    ours = evaluate(task, task.questions(tmp_path, 2), local, ResponseCache(tmp_path / "run"), batch_size=4)
    theirs = {key.rsplit(",", 1)[0]: value for key, value in found["results"][f"minigemini_{name}"].items()}
    for measure, figure in zip(ours.measures, ours.figures, strict=True):
        assert theirs[measure.name] == pytest.approx(figure.score), measure.name
    said = [sample["filtered_resps"][0] for sample in found["samples"][f"minigemini_{name}"]]
    assert said == [answer for _, answer, _ in ours.samples]


DOCS = {"test": [{"ocr": ["STOP"], "rounds": 2}, {"ocr": [], "rounds": 1}]}


def request(kind: str, arguments: tuple, doc_id: int) -> Instance:
    whole = (*arguments, doc_id, "task", "test")
    return Instance(kind, whole, 0, {"task": "task", "doc_id": doc_id, "repeats": 1})


def image(number: int) -> Image.Image:
    return Image.new("RGB", (24, 20), (40 * number, 80, 120))


def test_multi_image_text_only_and_ocr(chat, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(chat, "task_dict", {"task": DOCS})
    monkeypatch.setattr(chat, "ocr_field", "ocr")

    def two(doc):
        content = [{"type": "image", "url": image(n)} for n in (1, 2)] + [{"type": "text", "text": "Which?"}]
        return [{"role": "user", "content": content}]

    def none(doc):
        return [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]

    settings = {"max_new_tokens": 5, "do_sample": False}
    asked = [request("generate_until", ("", two, settings), 0), request("generate_until", ("", none, settings), 1)]
    said = chat.generate_until(asked)
    engine = Engine.load(tiny_checkpoint, "cpu")
    short = Sampling(max_new_tokens=5)
    assert said[0] == engine.ask([image(1), image(2)], "Which?\nReference OCR Token: STOP\n", short).text.strip()
    assert said[1] == engine.ask([], "Hello", short).text.strip()
    with pytest.raises(RequestError, match="asks for sampling"):
        chat.generate_until([request("generate_until", ("", none, {"do_sample": True, "temperature": 1.0}), 0)])


def test_rounds_include_earlier_answers(chat, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(chat, "task_dict", {"task": DOCS})

    def messages(doc, round_idx=None, previous_output=None, previous_round_info=None):
        if round_idx >= doc["rounds"]:
            return None, True, previous_output, previous_round_info
        shown = [{"type": "image", "url": image(3)}] if round_idx == 0 else []
        content = [*shown, {"type": "text", "text": f"Round {round_idx}?"}]
        return [{"role": "user", "content": content}], False, previous_output, previous_round_info

    settings = {"max_new_tokens": 4}
    said = chat.generate_until_multi_round(
        [request("generate_until_multi_round", ("", messages, settings), doc_id) for doc_id in range(2)]
    )
    assert [len(rounds) for rounds in said] == [2, 1]
    from minigemini.inference.engine import Conversation

    conversation = Conversation(Engine.load(tiny_checkpoint, "cpu"), [image(3)])
    first = conversation.ask("Round 0?", Sampling(max_new_tokens=4)).text
    if first == first.strip():  # lmms-eval gets stripped answers
        assert said[0] == [first, conversation.ask("Round 1?", Sampling(max_new_tokens=4)).text.strip()]


def test_loglikelihoods_rank_the_greedy_answer_first(tiny_checkpoint, monkeypatch):
    simple = get_model("minigemini", force_simple=True)(pretrained=str(tiny_checkpoint), device="cpu", workers=0)
    simple.task_dict = {"task": DOCS}
    engine = Engine.load(tiny_checkpoint, "cpu")
    greedy = engine.ask(image(1), "What?", Sampling(max_new_tokens=1)).text
    choices = [greedy, *(char for char in "xyzQ!" if char != greedy)]
    asked = [request("loglikelihood", ("What?", choice, lambda doc: [image(1)]), 0) for choice in choices]
    losses = simple.loglikelihood(asked)
    if len(engine.processor.tokenizer(greedy, add_special_tokens=False)["input_ids"]) == 1:
        assert losses[0][1]
        assert min(losses) == losses[0]
    assert all(torch.isfinite(torch.tensor(loss)) for loss, _ in losses)
    assert not any(is_greedy for _, is_greedy in losses[1:])


def test_unreadable_image_is_an_error(chat, tmp_path, monkeypatch):
    monkeypatch.setattr(chat, "task_dict", {"task": DOCS})
    content = [{"type": "image", "url": str(tmp_path / "nowhere.png")}, {"type": "text", "text": "What?"}]
    with pytest.raises(RequestError, match=r"nowhere\.png: no such file"):
        chat.generate_until(
            [request("generate_until", ("", lambda doc: [{"role": "user", "content": content}], {}), 0)]
        )
