"""Killed, shared and compared runs, and failing servers and judges, with real models and servers."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import benchmark_files as files
import pytest
import torch
from test_benchmarks import MATHS, TASKS, ScriptedAnswerer, scores

from minigemini.cli.load_options import LoadOptions
from minigemini.evaluation.command import EvaluationSettings
from minigemini.evaluation.evaluate import answer_key, evaluate, load_results, save_results
from minigemini.evaluation.http_backend import HttpAnswerer, openai_messages
from minigemini.evaluation.llm_judge import grade_all
from minigemini.evaluation.local_backend import LocalAnswerer, fingerprint
from minigemini.evaluation.paper_results import PAPER, row_of
from minigemini.evaluation.response_cache import ResponseCache, key_of
from minigemini.evaluation.runner import run_questions
from minigemini.evaluation.task import DataError, Question, user
from minigemini.inference import Engine, RequestError
from minigemini.inference.engine import Sampling
from minigemini.io.openai_client import ChatClient, ChatRequestError, RetryPolicy

SIX = Sampling(max_new_tokens=6)
IMMEDIATELY = RetryPolicy(timeout_s=0.5, tries=3, first_wait_s=0.01, longest_wait_s=0.05)


def test_every_option_of_loading_reaches_the_evaluation():
    assert {option.name for option in fields(LoadOptions)} <= {setting.name for setting in fields(EvaluationSettings)}


def test_answers_of_encoders_in_another_dtype_are_kept_apart(tiny_checkpoint, local):
    other = LocalAnswerer(Engine.load(tiny_checkpoint, "cpu", encoder_dtype="bfloat16"), workers=0)
    assert {**local.identity, "encoders": "bfloat16"} == other.identity


def questions(count: int) -> list[Question]:
    return [Question(f"q{n}", user(f"What is {n}?", files.image(n)), str(n)) for n in range(count)]


def key(question: Question) -> str:
    return key_of(id=question.id, prompt=question.prompt)


# The response cache


def test_cache_survives_an_incomplete_line_and_keeps_the_first_answer(tmp_path):
    cache = ResponseCache(tmp_path)
    cache.append([{"key": "a", "answer": "né"}])
    with (tmp_path / "answers.jsonl").open("ab") as file:
        file.write(b'{"key": "b", "ans')  # killed here
    second = ResponseCache(tmp_path)
    second.append([{"key": "c", "answer": "x"}, {"key": "a", "answer": "other"}])
    cache.refresh()
    for one in (cache, second, ResponseCache(tmp_path)):
        assert (len(one), one.get("a")["answer"], one.get("b"), one.get("c")["answer"]) == (2, "né", None, "x")


def test_claim_excludes_other_processes_and_ends_with_its_holder(tmp_path):
    code = f"""
import time
from minigemini.evaluation.response_cache import ResponseCache
from pathlib import Path
print(ResponseCache(Path({str(tmp_path)!r})).claim("batch"), flush=True)
time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline().strip() == "True"
        cache = ResponseCache(tmp_path)
        assert not cache.claim("batch")
        assert cache.claim("another")
    finally:
        holder.kill()
        holder.wait()
    assert cache.claim("batch")


def test_answer_key_depends_on_model_prompt_and_task():
    task, one = TASKS["mme"], questions(1)[0]
    usual = answer_key(task, one, {"weights": "a"})
    other = Question("q0", user("What is 1?", files.image()), "0")
    assert len({usual, answer_key(task, one, {"weights": "b"}), answer_key(task, other, {"weights": "a"})}) == 3
    assert answer_key(TASKS["mmbench"], one, {"weights": "a"}) != usual
    assert answer_key(task, questions(2)[0], {"weights": "a"}) == usual


# Local models


@pytest.fixture(scope="module")
def local(tiny_checkpoint) -> LocalAnswerer:
    return LocalAnswerer(Engine.load(tiny_checkpoint, "cpu"), workers=0)


def ask(answerer, asked, folder, **changes):
    settings = {"max_new_tokens": 6, "batch_size": 4, "title": "test", **changes}
    return run_questions(asked, answerer, ResponseCache(folder), key, **settings)


def test_answers_do_not_depend_on_batch_size_and_workers(local, tmp_path):
    """Several, one or no images, some shared between questions; prompts of different lengths."""
    asked = questions(5)
    asked += [Question("two", user("Which?", files.image(0), files.image(1)), ""), Question("none", user("Hi"), "")]
    asked += [Question("again", user("And what colour is it, please?", files.image(0)), "")]
    said = [
        ask(
            LocalAnswerer(local.engine, workers=workers), asked, tmp_path / f"{size}-{workers}", batch_size=size
        ).answers
        for size, workers in ((1, 0), (4, 0), (4, 1), (8, 0))
    ]
    assert all(answers == said[0] for answers in said)
    assert said[0]["two"] == local.engine.ask([files.image(0), files.image(1)], "Which?", SIX).text.strip()
    assert set(said[0]) == {question.id for question in asked}


def test_invalid_questions_are_reported_and_the_rest_answered(local, tmp_path):
    bad = [
        Question("broken", user("What?", b"no picture"), ""),
        Question("placeholder", user("What is <image>?", files.image()), ""),
        Question("missing", user("What?", tmp_path / "nowhere.png"), ""),
    ]
    asked = ask(local, [*questions(2), *bad], tmp_path)
    assert set(asked.answers) == {"q0", "q1"}
    assert "stands for an image" in asked.issues["placeholder"]
    assert "nowhere.png: no such file" in asked.issues["missing"]
    assert set(asked.issues) == {"broken", "placeholder", "missing"}


def test_question_longer_than_the_context_is_reported(make_model, make_processor, tmp_path):
    model = make_model(text_config={"max_position_embeddings": 64})
    model.save_pretrained(tmp_path / "model")
    make_processor(model.config).save_pretrained(tmp_path / "model")
    short = LocalAnswerer(Engine.load(tmp_path / "model", "cpu"), workers=0)
    asked = ask(short, [*questions(1), Question("long", user("so " * 50, files.image()), "")], tmp_path / "run")
    assert set(asked.answers) == {"q0"}
    assert "but the context holds 64" in asked.issues["long"]


def test_fingerprint_depends_on_the_weights(tiny_checkpoint, make_model, make_processor, tmp_path):
    model = make_model()
    with pytest.raises(ValueError, match="no such"):
        fingerprint(str(tmp_path / "nowhere"))
    model.save_pretrained(tmp_path / "same")
    make_processor(model.config).save_pretrained(tmp_path / "same")
    assert fingerprint(str(tmp_path / "same")) == fingerprint(str(tiny_checkpoint))
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    model.save_pretrained(tmp_path / "same")
    assert fingerprint(str(tmp_path / "same")) != fingerprint(str(tiny_checkpoint))


def command(model, output, data) -> list[str]:
    words = [*("textvqa_ocr", "mme"), "--model", str(model), "--data", str(data), "-o", str(output)]
    return [sys.executable, "-m", "minigemini", "eval", *words, "--batch-size", "4", "--workers", "0", "--gallery", "2"]


OUTPUTS = ("report.md", "index.html", "results.json")


@pytest.mark.slow
def test_killed_and_shared_runs_write_the_same_bytes(tiny_checkpoint, tmp_path):
    data = tmp_path / "data"
    files.textvqa(data, {f"q{n}": ["nokia"] * 10 for n in range(16)})
    files.mme(data, {"count": 2, "code_reasoning": 2})
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, killed, shared = (tmp_path / name for name in ("whole", "killed", "shared"))
    subprocess.run(command(tiny_checkpoint, whole, data), env=environment, check=True, capture_output=True)

    first = subprocess.Popen(command(tiny_checkpoint, killed, data), env=environment, stderr=subprocess.DEVNULL)
    answers = killed / "answers.jsonl"
    deadline = time.time() + 300
    while time.time() < deadline and not (answers.exists() and answers.read_bytes().count(b"\n") >= 4):
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    kept = answers.read_bytes()
    assert 4 <= kept.count(b"\n") < 24
    subprocess.run(command(tiny_checkpoint, killed, data), env=environment, check=True, capture_output=True)
    assert answers.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])

    runs = [
        subprocess.Popen(command(tiny_checkpoint, shared, data), env=environment, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [run.wait(400) for run in runs] == [0, 0]

    for folder in (killed, shared):
        for name in OUTPUTS:
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), (folder, name)
        times = Counter(json.loads(line)["key"] for line in (folder / "answers.jsonl").read_text().splitlines())
        assert set(times.values()) == {1}  # nothing was asked twice
        assert len(times) == 24


# Served models and judges


class Server:
    """An OpenAI-compatible server that handles each request as scripted, then answers with `reply_to(messages)`."""

    def __init__(self, reply_to, script=()):
        self.requests, self.reply_to, self.script = [], reply_to, list(script)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.reply(200, {"data": [{"id": "served"}]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((body, dict(self.headers)))
                step = outer.script.pop(0) if outer.script else "answer"
                if step == "hang":
                    time.sleep(1.0)
                elif step == "drop":
                    self.connection.close()
                elif step == "redirect":
                    self.send_response(307)
                    self.send_header("Location", "http://127.0.0.1:9/stolen")
                    self.end_headers()
                elif step == "garbage":
                    self.reply(200, {"unexpected": True})
                elif isinstance(step, int):
                    self.reply(step, {"error": {"message": "because"}})
                else:
                    text = outer.reply_to(body["messages"]) if step == "answer" else step
                    self.reply(200, {"choices": [{"message": {"content": text}}]})

            def reply(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def serve():
    servers = []

    def start(*given, **named) -> Server:
        servers.append(Server(*given, **named))
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


@pytest.mark.parametrize("step", [429, 500, 503, "hang", "drop", "garbage"])
def test_transient_failures_are_retried(serve, step):
    server = serve(lambda _: "fine", [step, step])
    assert ChatClient(server.address, retries=IMMEDIATELY).chat([], 5, str) == "fine"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("script", "tries", "message"),
    [
        ([429] * 9, 3, r"status 429 .*\(3 tries\)"),
        (["hang"] * 9, 3, r"timeout .*\(3 tries\)"),
        (["garbage"] * 9, 3, r"no chat completion .*\(3 tries\)"),
        ([400], 1, "status 400 .*because"),
        ([401], 1, "status 401"),
        (["redirect"], 1, "status 307"),
    ],
)
def test_permanent_failures_are_reported_after_the_given_tries(serve, script, tries, message):
    server = serve(lambda _: "fine", script)
    with pytest.raises(ChatRequestError, match=message):
        ChatClient(server.address, retries=IMMEDIATELY).chat([], 5, str)
    assert len(server.requests) == tries


def test_api_key_is_sent_in_the_header_only(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    server = serve(lambda _: "fine", [401])
    with pytest.raises(ChatRequestError) as error:
        ChatClient(server.address, retries=IMMEDIATELY).chat([], 5, str)
    assert server.requests[0][1]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(error.value)


def test_served_model_gets_the_same_input_as_a_local_one(serve, local, tmp_path):
    """The server answers with the same model, from the request alone."""

    def answer(messages) -> str:
        shown = [part["image_url"]["url"] for part in messages[0]["content"] if part["type"] == "image_url"]
        images = [base64.b64decode(url.removeprefix("data:image/png;base64,")) for url in shown]
        return local.engine.ask(images, messages[0]["content"][-1]["text"], SIX).text

    served = HttpAnswerer(ChatClient(serve(answer).address, retries=RetryPolicy(timeout_s=60)))
    asked = [*questions(3), Question("broken", user("What?", b"no picture"), "")]
    there, here = ask(served, asked, tmp_path / "there", batch_size=2), ask(local, asked, tmp_path / "here")
    assert there.answers == here.answers
    assert set(there.issues) == {"broken"}
    assert openai_messages(questions(1)[0])[0]["content"][1] == {"type": "text", "text": "What is 0?"}


def test_failed_question_does_not_affect_the_others(serve, tmp_path):
    server = serve(lambda messages: "yes", [400])
    asked = ask(HttpAnswerer(ChatClient(server.address, retries=IMMEDIATELY)), questions(3), tmp_path, batch_size=1)
    assert (len(asked.answers), len(asked.issues)) == (2, 1)
    again = ask(HttpAnswerer(ChatClient(server.address, retries=IMMEDIATELY)), questions(3), tmp_path, batch_size=1)
    assert (len(again.answers), len(server.requests)) == (3, 4)  # only the failed question is repeated


def test_unreachable_server_ends_the_run(serve, tmp_path):
    server = serve(lambda messages: "yes")
    service = ChatClient(server.address, retries=IMMEDIATELY)
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(RequestError, match="server no longer accepts connections; run again to resume"):
        ask(HttpAnswerer(service), questions(2), tmp_path)


def test_invalid_judge_replies_are_retried_and_reported(serve, tmp_path):
    """v0 gets 0.4 at the second attempt; v1 never gets a number and is reported rather than scored as 0."""
    files.mmvet(tmp_path, {"v0": ("-1 <AND> -5", ["math"]), "v1": ("cat", ["rec"])})
    task, said = TASKS["mmvet"], {"v0": "It is -5", "v1": "A kitten!"}
    asked = task.questions(tmp_path)
    first = serve(lambda _: "0.4", ["I would say it is quite good."])
    judge = ChatClient(first.address, retries=IMMEDIATELY)
    judged = grade_all(task, asked[:1], said, judge, ResponseCache(tmp_path / "run"))
    assert judged.grades["v0"].value == 0.4
    second = serve(lambda _: "11 of 10")
    judge = ChatClient(second.address, retries=IMMEDIATELY)
    result = evaluate(task, asked, ScriptedAnswerer(said), ResponseCache(tmp_path / "run"), batch_size=2, judge=judge)
    assert scores(result) == {"score": 40.0}
    assert "invalid reply" in result.issues["v1"]
    assert "(3 tries)" in result.issues["v1"]
    assert len(second.requests) == 3  # v0's verdict was kept
    assert len(first.requests) == 2


def test_mathvista_asks_the_judge_only_if_rules_fail(serve, tmp_path):
    files.mathvista(tmp_path, MATHS)
    said = {"1": "fourteen", "2": "1.2", "3": "elm", "4": "they are 1 and 2", "5": "I'm sorry, I can't."}
    verdicts = {"fourteen": "14", "they are 1 and 2": "[1, 2]", "I'm sorry, I can't.": "none"}
    server = serve(
        lambda messages: next(v for k, v in verdicts.items() if f"Response: {k}\n" in messages[0]["content"])
    )
    judge = ChatClient(server.address, retries=IMMEDIATELY)
    task = TASKS["mathvista"]
    result = evaluate(
        task, task.questions(tmp_path), ScriptedAnswerer(said), ResponseCache(tmp_path / "r"), batch_size=9, judge=judge
    )
    assert scores(result) == {"accuracy": 80.0}
    assert len(server.requests) == 3
    assert (result.unparsed, result.judge) == (1, "served")


def test_mmbench_asks_the_judge_about_unparsed_answers(serve, tmp_path):
    row = {"index": 7, "question": "What is it?", "A": "a cat", "B": "a dog", "answer": "B", "category": "animals"}
    files.mmbench(tmp_path, [row])
    server = serve(lambda messages: "B" if "A. a cat" in messages[0]["content"] else "A")
    judge, task = ChatClient(server.address, retries=IMMEDIATELY), TASKS["mmbench"]
    said = {"7": "the barking one", "7+1": "the barking one"}
    result = evaluate(
        task, task.questions(tmp_path), ScriptedAnswerer(said), ResponseCache(tmp_path / "r"), batch_size=9, judge=judge
    )
    assert scores(result)["circular accuracy"] == 100.0


# Saved results


def test_results_round_trip(tmp_path):
    files.mme(tmp_path, {"count": 3})
    task = TASKS["mme"]
    asked = task.questions(tmp_path)
    result = evaluate(
        task, asked, ScriptedAnswerer({q.id: q.truth for q in asked}), ResponseCache(tmp_path / "r"), batch_size=2
    )
    save_results(tmp_path, [result])
    loaded = load_results(tmp_path)[0]
    assert loaded.measures == result.measures
    assert (loaded.model, loaded.asked, loaded.issues) == (result.model, 6, {})
    (tmp_path / "results.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="format 99, but"):
        load_results(tmp_path)


def test_paper_row_is_found_by_the_full_name():
    assert row_of("somewhere/mgm-7b-hd/") == "MGM-7B-HD"
    assert row_of("MGM-2B") == "MGM-2B"
    assert row_of("mgm-2bx") is row_of("nano") is None
    assert PAPER["MGM-8B"] == {
        **{
            "TextVQA": 67.6,
            "MMB": 72.7,
            "MME-P": 1606,
            "MME-C": 341,
            "MM-Vet": 47.3,
            "MMMU val": 38.2,
            "MMMU test": 36.3,
        }
    }
