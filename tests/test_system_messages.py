"""System messages and continued answers in every chat format, here and for vLLM, which renders messages itself."""

from copy import copy

import pytest

from minigemini.inference import Engine, RequestError, Sampling
from minigemini.inference.prompts import Prompts
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.serving.backends import ChatJob
from minigemini.serving.remote_backend import RemoteBackend

FOLDED = {"nano", "gemma", "mistral", "plain"}
"""Formats without system messages."""
SYSTEM = [{"role": "system", "content": "Be brief."}, {"role": "system", "content": "Be kind."}]


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture(params=CHAT_TEMPLATES)
def prompts(request, engine) -> Prompts:
    processor = copy(engine.processor)
    processor.chat_template = CHAT_TEMPLATES[request.param]
    return Prompts(processor, engine.model.config)


def question(image) -> dict:
    return {"role": "user", "content": [{"type": "image", "image": image(0)}, {"type": "text", "text": "What is it?"}]}


def test_instructions_precede_the_question_once(prompts, image):
    text = prompts.text([*SYSTEM, question(image)])
    assert text.count("Be brief.\n\nBe kind.") == 1
    assert text.index("Be kind.") < text.index("What is it?")
    assert len(prompts.inputs([*SYSTEM, question(image)])["pixel_values"]) == 1


def test_an_answer_stays_open(prompts, image):
    begun = {"role": "assistant", "content": "It is a "}
    text = prompts.text([*SYSTEM, question(image), begun], continue_final_message=True)
    assert text.endswith("It is a ")
    with pytest.raises(RequestError, match="of the assistant"):
        prompts.text([question(image)], continue_final_message=True)


@pytest.mark.parametrize("name", CHAT_TEMPLATES)
def test_only_formats_without_system_messages_fold_them(engine, image, name):
    processor = copy(engine.processor)
    processor.chat_template = CHAT_TEMPLATES[name]
    written = Prompts(processor, engine.model.config).written_out([*SYSTEM, question(image)])
    roles = [message["role"] for message in written]
    assert roles == (["user"] if name in FOLDED else ["system", "user"])


def test_a_later_system_message_moves_to_the_next_question(engine):
    talk = [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}, SYSTEM[0]]
    prompts = Prompts(engine.processor, engine.model.config)
    assert prompts.written_out([*talk, {"role": "user", "content": "Three"}])[2]["content"] == "Be brief.\n\nThree"
    with pytest.raises(RequestError, match="no user message after it"):
        prompts.written_out(talk)


def sent(engine: Engine, job: ChatJob) -> dict:
    backend = RemoteBackend(["http://127.0.0.1:1/v1"], "tiny", Prompts(engine.processor, engine.model.config))
    return backend._request_body(job)


def test_vllm_gets_what_it_needs_to_continue(engine):
    begun = [*SYSTEM, {"role": "user", "content": "What?"}, {"role": "assistant", "content": "It"}]
    sampling = Sampling(top_k=3, min_p=0.1, repetition_penalty=1.2, json_schema='{"type": "object"}')
    body = sent(engine, ChatJob(begun, sampling, continue_final_message=True))
    assert [message["content"] for message in body["messages"]] == ["Be brief.\n\nBe kind.\n\nWhat?", "It"]
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (3, 0.1, 1.2)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    plain = sent(engine, ChatJob([{"role": "user", "content": "What?"}], Sampling()))
    assert not plain.keys() & {"top_k", "min_p", "repetition_penalty", "response_format", "continue_final_message"}


def test_vllm_gets_a_raw_prompt(engine):
    body = sent(engine, ChatJob([], Sampling(), prompt="Once"))
    assert (body["prompt"], body["max_tokens"], body["add_special_tokens"]) == ("Once", 256, True)
    assert "messages" not in body
    with pytest.raises(RequestError, match="placeholder"):
        sent(engine, ChatJob([], Sampling(), prompt="<image>"))
