"""Chat template options of the processor: image requests, OCR texts, and labels for every answer."""

import copy

import pytest

IMAGE = {"type": "image"}


def user(*content) -> dict:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def text(value: str) -> dict:
    return {"type": "text", "text": value}


HO = {"role": "assistant", "content": "Ho."}
ONE = [user(IMAGE, text("Hi"))]
TWO = [user("Hi"), HO, user(IMAGE, text("And?"))]
READ = "\nReference OCR Token: {}\n".format


@pytest.fixture
def processor(make_config, make_processor):
    return make_processor(make_config())


@pytest.mark.parametrize(
    ("messages", "arguments", "endings"),
    [
        (ONE, {"draw": True}, [" <GEN>"]),
        (ONE, {"ocr": ["Stop", "10 km"]}, [READ("Stop, 10 km")]),
        (ONE, {"draw": True, "ocr": ["Stop"]}, [READ("Stop") + " <GEN>"]),
        (TWO, {"draw": True}, ["", " <GEN>"]),
        (TWO, {"draw": [True, False]}, [" <GEN>", ""]),
        (TWO, {"ocr": ("Stop",)}, ["", READ("Stop")]),
        (TWO, {"ocr": [["Stop", "Go"], []]}, [READ("Stop, Go"), ""]),
        (TWO, {"ocr": [[], ["Stop"]], "draw": [True, True]}, [" <GEN>", READ("Stop") + " <GEN>"]),
        (TWO, {"draw": False, "ocr": []}, ["", ""]),
        ([HO], {}, []),
    ],
)
def test_requests_end_user_turns(processor, messages, arguments, endings):
    given = copy.deepcopy(messages)
    prompt = processor.apply_chat_template(given, **arguments)
    assert given == messages
    expected = [
        turn.split("<|assistant|>")[0] for turn in processor.apply_chat_template(messages).split("<|user|>")[1:]
    ]
    assert [turn.split("<|assistant|>")[0] for turn in prompt.split("<|user|>")[1:]] == [
        turn + ending for turn, ending in zip(expected, endings, strict=True)
    ]


@pytest.mark.parametrize(
    ("messages", "arguments", "message"),
    [
        (TWO, {"draw": [True]}, "draw has 1 entries, but the conversation has 2 user turns"),
        (TWO, {"draw": []}, "draw has 0 entries, but the conversation has 2 user turns"),
        (ONE, {"ocr": [["a"], ["b"]]}, "ocr has 2 entries, but the conversation has 1 user turns"),
        ([HO], {"draw": True}, "draw has 1 entries, but the conversation has 0 user turns"),
        ([HO], {"ocr": ["a"]}, "ocr has 1 entries, but the conversation has 0 user turns"),
        (ONE, {"ocr": "Stop"}, "ocr is 'Stop': pass a list of strings, or one such list for each user turn"),
        (TWO, {"ocr": ["Stop", ["Go"]]}, r"ocr is \['Stop', \['Go'\]\]: pass a list of strings, or one such list"),
        ([ONE, TWO], {"draw": True}, "apply to one conversation, but got a batch of 2"),
        ([ONE], {"ocr": ["a"]}, "apply to one conversation, but got a batch of 1"),
    ],
)
def test_mismatched_requests_are_rejected(processor, messages, arguments, message):
    with pytest.raises(ValueError, match=message):
        processor.apply_chat_template(messages, **arguments)


def labeled(processor, messages, **arguments):
    return processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, **arguments
    )


LONG = [user("Hi"), HO, user("And?"), HO]  # the answers are tokens 24 to 27 and 53 to 56, of 57


def cut_to(max_length: int) -> dict:
    return {"processor_kwargs": {"truncation": True, "max_length": max_length}}


@pytest.mark.parametrize(
    ("side", "max_length", "enough", "learned", "missing"),
    [("right", 24, 54, 0, 1), ("right", 53, 54, 1, 2), ("left", 29, 30, 1, 1)],
)
def test_truncation_that_drops_a_label_is_an_error(
    processor, tokenizer, monkeypatch, side, max_length, enough, learned, missing
):
    monkeypatch.setattr(tokenizer, "truncation_side", side)
    message = (
        f"conversation 0: {learned} of 2 assistant turns have tokens to learn, "
        f"but turn {missing} has none: raise max_length"
    )
    with pytest.raises(ValueError, match=message):
        labeled(processor, LONG, **cut_to(max_length))
    kept = labeled(processor, LONG, **cut_to(enough))
    assert sum(kept["assistant_masks"][0]) == 5  # one whole answer and one token of the other


def test_a_template_without_generation_marks_is_rejected(processor):
    bare = processor.chat_template.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
    assert bare != processor.chat_template
    assert labeled(processor, [user("Hi")], chat_template=bare)["assistant_masks"] == [[0] * 11]
    with pytest.raises(ValueError, match=r"conversation 1: 0 of 1 .* \{% generation %\}"):
        labeled(processor, [[user("Hi")], [user("Hi"), HO]], chat_template=bare)


@pytest.mark.parametrize("tensors", ["pt", "np", None])
def test_a_batch_keeps_its_labels(processor, tensors):
    batch = [[user("Hi"), HO], LONG, [user("Hi"), HO, HO]]
    inputs = labeled(processor, batch, return_tensors=tensors, processor_kwargs={"padding": True})
    assert [sum(row) for row in inputs["assistant_masks"]] == [4, 8, 8]


def test_a_mask_name_in_text_is_not_a_mask(processor):
    assert "assistant_masks" in processor.apply_chat_template([user("What is assistant_masks?")])
