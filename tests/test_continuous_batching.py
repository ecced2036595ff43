"""Requests that share batches have the tokens that they have alone, whoever joins, leaves or fails beside them."""

import json
import logging
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch
from api_server import data_uri, serving, user
from test_batched_decoding import MANY_END_IDS
from test_language_models import FALCON_H1
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList
from transformers.generation.streamers import BaseStreamer
from waiting import wait_until

from minigemini.inference import Engine, Sampling
from minigemini.inference.continuous_batching import PREFIX_SHARE, ContinuousBatcher
from minigemini.inference.exported_model import ExportedModel
from minigemini.inference.slot_cache import SlotCache, unable_to_join
from minigemini.modeling.outputs import CACHE
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState

HUNDRED = Sampling(max_new_tokens=100)
LONG = Sampling(max_new_tokens=1000)
"""Longer than a test waits."""


@pytest.fixture(scope="module")
def engine(make_model, make_processor) -> Engine:
    """In float64, so that equal tokens do not depend on the order of sums."""
    model = make_model().double()
    model.generation_config.eos_token_id = MANY_END_IDS
    return Engine(model, make_processor(model.config), "tiny")


@pytest.fixture(scope="module")
def endless(make_model, make_processor) -> Engine:
    """Answers of this engine end at their limit only."""
    model = make_model().double()
    model.generation_config.eos_token_id = None
    model.config.text_config.eos_token_id = None
    return Engine(model, make_processor(model.config), "tiny")


@pytest.fixture
def batcher(request):
    """Build batchers that end with the test."""
    made = []

    def make(engine: Engine, rows: int = 4, max_tokens: int = 4096) -> ContinuousBatcher:
        made.append(ContinuousBatcher(engine.model, rows, max_tokens))
        return made[-1]

    yield make
    for one in made:
        one.close()


def question(text: str, *images) -> list[dict]:
    content = [*({"type": "image", "image": one} for one in images), {"type": "text", "text": text}]
    return [{"role": "user", "content": content}]


def seen_steps(engine: Engine) -> list[tuple[int, int, int]]:
    """Collect (rows of the step, allocated rows, allocated columns) of each step."""
    steps = []

    def record(_, __, named):
        if isinstance(named[CACHE], SlotCache):
            steps.append((len(named["input_ids"]), *named[CACHE].layers[0].keys.shape[::2]))

    engine.model.register_forward_pre_hook(record, with_kwargs=True)
    return steps


def random_request(rng: random.Random, image) -> tuple[list[dict], Sampling]:
    images = [image(rng.randrange(3)) for _ in range(rng.choice([0, 1, 1, 2]))]
    sampling = Sampling(max_new_tokens=rng.choice([1, 2, 9, 20]))
    if rng.random() < 0.5:
        sampling = sampling.but(
            temperature=rng.choice([0.7, 1.5]),
            seed=rng.randrange(10),
            top_p=rng.choice([1.0, 0.8]),
            top_k=rng.choice([0, 20]),
            min_p=rng.choice([0.0, 0.05]),
        )
    return question(f"What is {'it ' * rng.randrange(9)}?", *images), sampling.but(
        repetition_penalty=rng.choice([1.0, 1.0, 1.2])
    )


LEAVES_EARLY = """
from minigemini.inference import Engine, Sampling
stream = Engine.load("nano", device="cpu").stream(
    [{"role": "user", "content": "Tell me a story."}], Sampling(max_new_tokens=500, temperature=1.5, seed=0)
)
next(stream)
"""


def test_a_program_may_end_before_its_answer():
    """A daemon thread that ends inside torch aborts the process."""
    ended = subprocess.run(
        [sys.executable, "-c", LEAVES_EARLY], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("seed", range(2))
def test_requests_that_come_and_go_have_the_tokens_that_they_have_alone(engine, batcher, image, seed):
    rng = random.Random(seed)
    requests = [random_request(rng, image) for _ in range(16)]
    alone = [engine.stream(*request).answer for request in requests]
    assert len({answer.new_tokens for answer in alone}) > 5
    shared = batcher(engine, rows=rng.choice([2, 4, 8]))
    steps = seen_steps(engine)
    streams, cancelled = [], set()
    for number, (messages, sampling) in enumerate(requests):
        streams.append(engine.stream(messages, sampling, batcher=shared))
        if rng.random() < 0.2:
            cancelled.add(number)
            threading.Timer(rng.random() * 0.05, streams[-1].stop).start()
        time.sleep(rng.choice([0, 0, 0.002, 0.02]))
    for number, (stream, expected) in enumerate(zip(streams, alone, strict=True)):
        found = stream.answer
        if number in cancelled and found.finish_reason == "stopped":
            assert found.new_tokens <= expected.new_tokens
        else:
            same = ("text", "prompt_tokens", "new_tokens", "finish_reason")
            assert [getattr(found, name) for name in same] == [getattr(expected, name) for name in same]
    assert max(rows for rows, *_ in steps) > 1
    wait_until(lambda: shared.running == 0, seconds=5)


def test_joined_rows_have_the_logits_of_the_whole_text(make_model):
    """In float32; the largest difference was 4.3e-6, of logits up to 9."""
    model, lengths = make_model(), (5, 9, 3)
    texts = [torch.arange(10 + row, 10 + row + length)[None] for row, length in enumerate(lengths)]
    cache = SlotCache()
    with torch.no_grad():
        for text in texts:
            prompt = DynamicCache(config=model.config)
            model(input_ids=text, use_cache=True, **{CACHE: prompt})
            cache.join(prompt, [[slice(0, text.shape[1])]], 64)
        logits = model(**cache.step([50, 51, 52], 64, torch.device("cpu"))).logits[:, -1]
        cache.leave(0)
        texts = [torch.cat([text, torch.tensor([[50 + row]])], 1) for row, text in enumerate(texts)]
        expected = [model(input_ids=text).logits[0, -1] for text in texts]
        assert torch.allclose(logits, torch.stack(expected), atol=2e-5)
        assert cache.lengths == [4, 10]  # the last row took the place of the first
        logits = model(**cache.step([60, 61], 64, torch.device("cpu"))).logits[:, -1]
        texts = [torch.cat([texts[row], torch.tensor([[60 + n]])], 1) for n, row in enumerate((2, 1))]
        expected = [model(input_ids=text).logits[0, -1] for text in texts]
        assert torch.allclose(logits, torch.stack(expected), atol=2e-5)
        cache.leave(1)
        cache.leave(0)
    assert not cache.layers  # the memory is free


def test_settings_of_the_checkpoint_hold(make_model, make_processor, batcher):
    """Logits processors and stopping criteria come from `generate`, so nothing of generation_config is lost."""
    model = make_model().double()
    model.generation_config.update(no_repeat_ngram_size=2, suppress_tokens=[40, 41, 42], min_new_tokens=8)
    engine = Engine(model, make_processor(model.config), "tiny")
    asked = [question(f"Question {n}?") for n in range(2)]
    twenty = Sampling(max_new_tokens=20)
    alone = [engine.stream(messages, twenty).answer.text for messages in asked]
    shared = batcher(engine)
    streams = [engine.stream(messages, twenty, batcher=shared) for messages in asked]
    assert [stream.answer.text for stream in streams] == alone


def test_answers_match_their_own_json_schemas(make_model, make_processor, batcher):
    pytest.importorskip("llguidance")
    model = make_model().double()
    engine = Engine(model, make_processor(model.config), "tiny")
    shared = batcher(engine)
    schemas = [json.dumps({"enum": [word]}) for word in ("one", "two", "three")]
    asked = [(question("Which?"), HUNDRED.but(json_schema=schema)) for schema in schemas]
    streams = [engine.stream(*request, batcher=shared) for request in [*asked, (question("Freely"), HUNDRED)]]
    assert [stream.answer.text for stream in streams[:3]] == ['"one"', '"two"', '"three"']
    assert streams[3].answer.text == engine.stream(question("Freely"), HUNDRED).answer.text


def test_a_cancelled_request_frees_its_row(endless, batcher):
    shared = batcher(endless, rows=2)
    long = [endless.stream(question("On and on"), LONG, batcher=shared) for _ in range(2)]
    for stream in long:
        next(stream)
    waiting = endless.stream(question("On and on"), LONG, batcher=shared)
    wait_until(lambda: shared.waiting, seconds=5)
    waiting.stop()
    assert waiting.answer.new_tokens == 0
    long[0].stop()
    answer = endless.stream(question("Short"), Sampling(max_new_tokens=3), batcher=shared).answer
    assert (answer.new_tokens, answer.finish_reason) == (3, "length")
    assert shared.running == 1
    assert 0 < long[0].answer.new_tokens < LONG.max_new_tokens
    long[1].stop()
    wait_until(lambda: shared.running == 0, seconds=5)


def test_requests_start_in_the_order_in_which_they_come(endless, batcher):
    """Also one that needs all the memory, behind which smaller ones would still have room."""
    shared, started = batcher(endless, rows=3, max_tokens=600), []

    class Recorder(LogitsProcessor):
        """Records when the first token of a request is chosen."""

        def __init__(self, number: int) -> None:
            self.number = number

        def __call__(self, input_ids, scores):
            if self.number not in started:
                started.append(self.number)
            return scores

    def ask(number: int, tokens: int) -> threading.Thread:
        inputs, recorder = endless.prompts.inputs(question("Who?")), LogitsProcessorList([Recorder(number)])
        settings = {"max_new_tokens": tokens, "logits_processor": recorder}
        thread = threading.Thread(target=shared.generate, args=(inputs, settings, Unread(), None, lambda: False))
        thread.start()
        return thread

    threads = [ask(0, 200)]
    wait_until(lambda: started, seconds=20)
    for number, tokens in ((1, 90), (2, 400), (3, 20), (4, 20)):
        before = len(started) + shared.waiting
        threads.append(ask(number, tokens))
        wait_until(lambda before=before: len(started) + shared.waiting > before, seconds=20)
    for thread in threads:
        thread.join()
    assert started == [0, 1, 2, 3, 4]


def test_rows_and_tokens_are_bounded(endless, batcher, image):
    shared, steps = batcher(endless, rows=3, max_tokens=256), seen_steps(endless)
    lengths = [5, 60, 150, 7, 90, 20, 200, 10, 10, 10, 60, 5]
    streams = [
        endless.stream(question("What?" * (n % 4 + 1), image(n)), Sampling(max_new_tokens=tokens), batcher=shared)
        for n, tokens in enumerate(lengths)
    ]
    assert [stream.answer.new_tokens for stream in streams] == lengths
    short = [endless.stream(question("What?"), Sampling(max_new_tokens=50), batcher=shared) for _ in range(8)]
    assert {stream.answer.new_tokens for stream in short} == {50}
    assert max(rows for rows, *_ in steps) == 3
    assert all(allocated * columns <= 256 for _, allocated, columns in steps)
    assert 0 < shared.prefixes.tokens <= 256 // PREFIX_SHARE


def test_images_are_encoded_once(engine, batcher, image):
    shared, encoded = batcher(engine), []
    hook = engine.model.model.vision_tower.register_forward_hook(lambda *_: encoded.append(1))
    streams = [
        engine.stream(question(text, image(shown)), Sampling(max_new_tokens=4), batcher=shared)
        for text in ("What?", "Why, and where?", "Who?")
        for shown in (1, 2)
    ]
    for stream in streams:
        assert stream.answer.text is not None
    hook.remove()
    assert len(encoded) == 2


def test_an_error_in_one_request_leaves_the_others_alone(endless, batcher, image):
    shared, fifty = batcher(endless), Sampling(max_new_tokens=50)
    expected = endless.stream(question("Fine"), fifty).answer.text
    fine = endless.stream(question("Fine"), fifty, batcher=shared)
    next(fine)

    def fail(*_):
        raise RuntimeError("out of memory")

    hook = endless.model.model.vision_tower.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        _ = endless.stream(question("Bad image", image(7)), fifty, batcher=shared).answer
    hook.remove()
    settings = {"max_new_tokens": 9, "logits_processor": LogitsProcessorList([fail_after_three()])}
    with pytest.raises(ValueError, match="no token is allowed"):
        shared.generate(endless.prompts.inputs(question("Bad schema")), settings, Unread(), None, lambda: False)
    assert fine.answer.text == expected


def fail_after_three() -> LogitsProcessor:
    """A processor that fails as one of a JSON schema can."""
    calls = []

    class Failing(LogitsProcessor):
        def __call__(self, input_ids, scores):
            calls.append(1)
            if len(calls) > 3:
                raise ValueError("no token is allowed")
            return scores

    return Failing()


class Unread(BaseStreamer):
    """A streamer whose text nobody reads."""

    def put(self, value) -> None:
        pass

    def end(self) -> None:
        pass


def test_an_error_of_the_model_ends_the_batch_and_not_the_batcher(endless, batcher):
    shared = batcher(endless)
    streams = [endless.stream(question("On"), LONG, batcher=shared) for _ in range(2)]
    for stream in streams:
        next(stream)

    def fail(*_):
        raise RuntimeError("device lost")

    hook = endless.model.lm_head.register_forward_pre_hook(fail)
    for stream in streams:
        with pytest.raises(RuntimeError, match="device lost"):
            _ = stream.answer
    hook.remove()
    assert endless.stream(question("On"), Sampling(max_new_tokens=2), batcher=shared).answer.new_tokens == 2


def test_closing_ends_requests(endless, batcher):
    shared = batcher(endless)
    stream = endless.stream(question("On"), LONG, batcher=shared)
    next(stream)
    shared.close()
    with pytest.raises(RuntimeError, match="closed"):
        _ = stream.answer
    with pytest.raises(RuntimeError, match="closed"):
        _ = endless.stream(question("On"), HUNDRED, batcher=shared).answer


@pytest.mark.parametrize(("text_config", "generation", "reason"), [
    ({}, {}, None),
    ({"model_type": "mistral", "sliding_window": 8}, {}, "sliding windows"),
    (FALCON_H1, {}, "recurrent states"),
    ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, {}, "rotary embeddings, dynamic"),
    ({}, {"cache_implementation": "static"}, "cache_implementation"),
    ({}, {"use_cache": False}, "cache off"),
    ({}, {"num_beams": 4}, None),
    ({}, {"prompt_lookup_num_tokens": 3}, "assisted_generation"),
])  # fmt: skip
def test_models_whose_requests_cannot_be_joined(make_model, text_config, generation, reason):
    model = make_model(text_config=text_config)
    model.generation_config.update(**generation)
    found = unable_to_join(model)
    assert found is None if reason is None else reason in found


def test_requests_to_an_exported_model_are_not_joined(make_model):
    model = make_model()
    assert "exported model" in unable_to_join(ExportedModel(model.config, model.generation_config, None))


def test_such_a_model_answers_one_at_a_time_and_says_why(make_model, make_processor, caplog):
    model = make_model(text_config={"model_type": "mistral", "sliding_window": 8})
    with caplog.at_level(logging.WARNING):
        backend = EngineBackend(Engine(model, make_processor(model.config), "tiny"), "tiny", rows=8)
    assert backend.batcher is None
    assert "tiny answers one request at a time: some of its layers" in caplog.text


def test_the_server_answers_several_requests_at_once(engine, image):
    """Each as alone, while others are refused."""
    picture, message = data_uri(image(1)), user("What is it?")
    sampled = {"temperature": 1.0, "seed": 5}
    good = [
        {"messages": [user("What is it?", picture)], "max_tokens": 30},
        {"messages": [user("And this?", picture, data_uri(image(2)))], "max_tokens": 9, **sampled, "top_k": 30},
        {"messages": [message], "max_tokens": 60, **sampled, "n": 3},
        {"messages": [message], "max_tokens": 60, **sampled, "stop": ["a", "e", "o"]},
        {
            "messages": [message, {"role": "assistant", "content": "It"}],
            "max_tokens": 9,
            "continue_final_message": True,
        },
    ]
    bad = [
        {"messages": [user("long " * 500)], "max_tokens": 9},
        {"messages": [user("What?", "data:image/png;base64,AAAA")], "max_tokens": 9},
    ]

    def ask(served, body: dict) -> tuple[int, list]:
        answer = httpx.post(f"{served.url}/v1/chat/completions", json={"model": "tiny", **body}, timeout=60)
        return answer.status_code, answer.json().get("choices", [])

    with serving(ServerState(ServerSettings(), EngineBackend(engine, "tiny"))) as one_at_a_time:
        alone = [ask(one_at_a_time, body) for body in good]
    steps = seen_steps(engine)
    with (
        serving(ServerState(ServerSettings(concurrency=4), EngineBackend(engine, "tiny", rows=4))) as several,
        ThreadPoolExecutor(14) as pool,
    ):
        answers = list(pool.map(lambda body: ask(several, body), [*good, *bad, *good]))
    assert answers == [*alone, (400, []), (400, []), *alone]
    assert max(rows for rows, *_ in steps) > 1
