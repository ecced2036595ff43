"""The engine with a tiny random checkpoint: streaming, turns, stopping, and errors for broken checkpoints."""

import json
import shutil
import threading

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scripted_engine import script

from minigemini.inference import AnswerStream, CheckpointError, Conversation, Engine, RequestError, Sampling
from minigemini.io.placement import choose_device, choose_dtype

SHORT = Sampling(max_new_tokens=12)


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture
def broken(tiny_checkpoint, tmp_path):
    """A copy of the checkpoint to damage."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "broken")


def change_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# Answers


@pytest.mark.parametrize("sampling", [SHORT, Sampling(max_new_tokens=40, temperature=1.0, seed=3)])
def test_streamed_equals_complete(engine, image, sampling):
    """Random bytes are the hardest text to stream: incomplete characters, newlines, leading spaces."""
    complete = engine.ask(image(0), "What is it?", sampling)
    with Conversation(engine, [image(0)]).stream("What is it?", sampling) as stream:
        pieces = list(stream)
    assert len(pieces) > 3
    assert "".join(pieces) == complete.text == stream.answer.text
    assert (complete.prompt_tokens, complete.new_tokens) == (stream.answer.prompt_tokens, stream.answer.new_tokens)


def test_an_answer_matches_generate(engine, image):
    """The engine adds nothing to the processor and `generate`."""
    content = [{"type": "image", "image": image(1)}, {"type": "text", "text": "Where?"}]
    inputs = engine.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        return_dict=True,
        add_generation_prompt=True,
        return_tensors="pt",
    )
    tokens = engine.model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    answer = engine.ask(image(1), "Where?", SHORT)
    assert answer.text == engine.processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
    assert answer.new_tokens == len(tokens)


def test_images_change_the_answer_and_come_in_any_form(engine, image, tmp_path):
    path = tmp_path / "a.png"
    image(0).save(path)
    forms = [image(0), path, str(path), path.read_bytes()]
    texts = {engine.ask(form, "What?", SHORT).text for form in forms}
    assert len(texts) == 1
    assert engine.ask([image(0), image(1)], "What?", SHORT).text not in texts


@pytest.mark.parametrize("temperature", [1e-5, 1e-38, 5e-324])
def test_the_lowest_temperatures_take_the_most_likely_token(temperature, engine, image):
    cold = Sampling(max_new_tokens=12, temperature=temperature)
    assert engine.ask(image(0), "What?", cold).text == engine.ask(image(0), "What?", SHORT).text


def test_sampling_is_reproducible_by_seed(engine, image):
    def sampled(seed):
        return engine.ask(image(0), "What?", Sampling(max_new_tokens=16, temperature=2.0, seed=seed)).text

    assert sampled(1) == sampled(1) != sampled(2)


def test_turns_accumulate_until_reset(engine, image):
    conversation = Conversation(engine, [image(0)])
    first = conversation.ask("One?", SHORT)
    second = conversation.ask("One?", SHORT)
    assert second.prompt_tokens > first.prompt_tokens + first.new_tokens - 2
    assert [message["role"] for message in conversation.messages] == ["user", "assistant"] * 2
    conversation.add_image(image(1))
    assert conversation.ask("And?", SHORT).prompt_tokens > second.prompt_tokens
    conversation.reset()
    conversation.add_image(image(0))
    assert conversation.ask("One?", SHORT).text == first.text


def test_a_stopped_answer_stays_in_the_conversation(engine, image):
    conversation = Conversation(engine, [image(0)])
    with conversation.stream("Go on", Sampling(max_new_tokens=800, temperature=2.0, seed=0)) as stream:
        piece = next(stream)
    assert stream.answer.finish_reason == "stopped"
    assert stream.answer.new_tokens < 800
    assert stream.answer.text.startswith(piece)
    assert conversation.messages[-1]["content"][0]["text"] == stream.answer.text
    assert not any(thread.name == "minigemini-answer" for thread in threading.enumerate())


def test_finish_reason(engine, image):
    assert engine.ask(image(0), "What?", Sampling(max_new_tokens=3)).finish_reason == "length"


def test_caption_tags_are_removed_unless_an_image_is_requested(engine, image, monkeypatch):
    answers = ["</h>", "a <h>cat</h>", "Here. <h>a cat</h>", "Here. <h>a cat</h>"]
    prompts = script(engine, answers, monkeypatch)
    conversation = Conversation(engine, [image(0)])
    assert conversation.ask("hi").text == ""
    with conversation.stream("And?") as stream:
        assert "".join(stream) == stream.answer.text == "a cat"
    assert conversation.stream("Draw it.", draw=True).answer.text == answers[2]
    assert conversation.ask("Nice.").text == "Here. a cat"
    assert answers[2] in prompts[3], "the conversation keeps the tags of a requested caption"


def test_an_error_during_generation_reaches_the_consumer(engine):
    with (
        pytest.raises(ValueError, match="image tokens"),
        AnswerStream(
            engine.model,
            engine.processor.tokenizer,
            {"input_ids": torch.tensor([[1, 3, 3]])},  # image tokens without an image
            {"max_new_tokens": 2},
        ) as stream,
    ):
        list(stream)


# Invalid requests


@pytest.mark.parametrize(
    ("question", "message"),
    [("", "empty"), (" \n", "empty"), ("what is <image>?", "contains <image>"), ("a" * 5000, r"\d+ tokens.*context")],
)
def test_invalid_questions_are_refused(engine, image, question, message):
    with pytest.raises(RequestError, match=message):
        engine.ask(image(0), question, SHORT)


def test_the_context_limits_the_answer(engine, image):
    context = engine.model.config.text_config.max_position_embeddings
    empty = engine.ask(image(0), "a", Sampling(max_new_tokens=1)).prompt_tokens
    answer = engine.ask(image(0), "a" * (context - empty - 1), Sampling(max_new_tokens=9, temperature=2.0, seed=0))
    assert answer.prompt_tokens + answer.new_tokens <= context


@pytest.mark.parametrize(
    "part", [{"type": "image", "url": "http://127.0.0.1/a.png"}, {"type": "image", "image": "a.png"}]
)
def test_urls_are_never_fetched(engine, part):
    messages = [{"role": "user", "content": [part, {"type": "text", "text": "What?"}]}]
    with pytest.raises(RequestError, match=r"PIL\.Image"):
        engine.stream(messages)


@pytest.mark.parametrize(
    "settings", [{"max_new_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"seed": -1}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(RequestError, match=next(iter(settings))):
        Sampling(**settings)


def test_devices_and_dtypes():
    assert choose_device("cpu").type == "cpu"
    assert choose_dtype(None, torch.device("cpu")) == torch.float32
    assert choose_dtype(None, torch.device("cuda")) == torch.bfloat16
    assert choose_dtype("float16", torch.device("cpu")) == torch.float16
    for wrong in ("toaster", "cuda:99", "meta"):
        with pytest.raises(RequestError, match=wrong):
            choose_device(wrong)
    with pytest.raises(RequestError, match="int8"):
        choose_dtype("int8", torch.device("cpu"))


def test_bfloat16_answers_too(tiny_checkpoint, image):
    engine = Engine.load(tiny_checkpoint, device="cpu", dtype="bfloat16")
    assert engine.model.dtype == torch.bfloat16
    assert engine.ask(image(0), "What?", SHORT).new_tokens > 0


# Broken checkpoints


def edit_tensors(folder, edit):
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def remove_three(tensors):
    for name in [name for name in tensors if "language_model" in name][:5]:
        del tensors[name]


def to_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


BROKEN = {
    "missing tensors": (lambda f: edit_tensors(f, remove_three), r"5 missing: \S+, \S+, \S+, …"),
    "extra tensor": (
        lambda f: edit_tensors(f, lambda t: t.update(stray=torch.zeros(2))),
        r"1 unknown: stray",
    ),
    "mis-shaped tensor": (
        lambda f: edit_tensors(f, lambda t: t.update({"lm_head.weight": torch.zeros(2, 3)})),
        r"1 mis-shaped: lm_head\.weight is \[2, 3\], not \[\d+, 32\]",
    ),
    "pickle": (to_pickle, r"pytorch_model\.bin is a pickle.*minigemini convert"),
    "cut weights": (cut, r"model\.safetensors: corrupt or cut off at [\d,]+ bytes.*again"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"no model\.safetensors"),
    "no config": (lambda f: (f / "config.json").unlink(), r"not a checkpoint folder: no config\.json"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), r"config\.json cannot be read"),
    "list as config": (lambda f: (f / "config.json").write_text("[]"), r"contains a list"),
    "another model": (lambda f: change_json(f / "config.json", model_type="llava"), r"'llava', not 'minigemini'"),
    "wrong geometry": (lambda f: change_json(f / "config.json", high_res_size=33), r"not valid: .*33"),
    "wrong type": (lambda f: change_json(f / "config.json", grid_size="two"), r"not valid: .*grid_size"),
    "code from elsewhere": (
        lambda f: change_json(f / "config.json", attn_implementation="somebody/kernel"),
        r"sets attn_implementation",
    ),
    "index that leaves the folder": (
        lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b.safetensors"}}'),
        r"'\.\./b\.safetensors'",
    ),
    "index without file": (
        lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "b.safetensors"}}'),
        r"b\.safetensors: cannot be read",
    ),
    "adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), r"contains both an adapter"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer or image processor"),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), r"tokenizer or image processor"),
    "no chat template": (lambda f: (f / "chat_template.jinja").unlink(), r"no chat_template\.jinja"),
    "another processor": (
        lambda f: change_json(f / "processor_config.json", patch_size=16),
        r"makes 1 tokens of id 3.*expects 4 of id 3",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_checkpoints_are_refused_in_one_line(case, broken):
    breaks, message = BROKEN[case]
    breaks(broken)
    with pytest.raises(CheckpointError, match=message) as caught:
        Engine.load(broken, device="cpu")
    assert "\n" not in str(caught.value)
    assert str(broken) in str(caught.value)


def test_a_pickle_is_never_opened(broken):
    """Loading this one would run its code, which creates a file."""
    to_pickle(broken)
    trace = broken / "pickle-was-run"
    (broken / "pytorch_model.bin").write_bytes(b"cbuiltins\nopen\n(V%s\nVw\ntR." % str(trace).encode())
    with pytest.raises(CheckpointError):
        Engine.load(broken, device="cpu")
    assert not trace.exists()


def test_invalid_names_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for name, message in [
        (str(tmp_path / "nowhere"), "no such folder"),
        (str(tmp_path / "file"), "a file, not a checkpoint folder"),
        ("two words", "not a hub id"),
        (str(tmp_path), r"no config\.json"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            Engine.load(name, device="cpu")


def test_a_hub_id_offline(monkeypatch):
    monkeypatch.setattr("minigemini.io.hub._can_be_resolved", lambda address: False)
    with pytest.raises(
        CheckpointError, match=r"somebody/model: no such local folder, and the download from the hub failed"
    ):
        Engine.load("somebody/model", device="cpu")


def test_a_sharded_checkpoint_loads(tiny_model, make_processor, tmp_path, image, engine):
    tiny_model.save_pretrained(tmp_path, max_shard_size="50KB")
    make_processor(tiny_model.config).save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert Engine.load(tmp_path).ask(image(0), "What?", SHORT).text == engine.ask(image(0), "What?", SHORT).text


def test_a_large_photo_works(engine):
    assert engine.ask(Image.new("RGB", (3000, 200)), "What?", Sampling(max_new_tokens=1)).new_tokens == 1
