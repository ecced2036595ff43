"""Encoding of samples: labels, truncation and invalid samples."""

import pickle

import pytest
import torch
from PIL import Image

from minigemini.data.encoding import IGNORED, SampleEncoder
from minigemini.data.schema import Sample, SampleError, SampleIssue
from minigemini.images.safe_images import ImageLimits
from minigemini.modeling.chat_templates import CHAT_TEMPLATES

IMAGE = {"type": "image"}


def text(value):
    return {"type": "text", "text": value}


def turns(*contents):
    return tuple({"role": ("user", "assistant")[n % 2], "content": parts} for n, parts in enumerate(contents))


@pytest.fixture(scope="module")
def processor(tiny_model, make_processor):
    """Four visual tokens per image."""
    return make_processor(tiny_model.config)


@pytest.fixture
def paths(tmp_path, image):
    """Two image files."""
    paths = (tmp_path / "0.png", tmp_path / "1.png")
    for seed, path in enumerate(paths):
        image(seed).save(path)
    return paths


def decoded(processor, ids):
    return processor.tokenizer.decode(ids)


def test_labels_are_the_answers(processor, paths):
    sample = Sample("1", "s", turns([IMAGE, IMAGE, text("Q")], [text("A")], [text("R")], [text("B")]), paths)
    encoded = SampleEncoder(processor)(sample)
    trained = encoded.labels != IGNORED
    assert decoded(processor, encoded.labels[trained]) == "A<eos>B<eos>"
    assert torch.equal(encoded.labels[trained], encoded.input_ids[trained])
    assert encoded.input_ids.tolist().count(processor.image_token_id) == 8
    assert {name: len(pixels) for name, pixels in encoded.pixels.items()} == {
        "pixel_values": 2,
        "high_res_pixel_values": 2,
    }
    messages = [dict(m) for m in sample.messages]
    messages[0] = {"role": "user", "content": [*({**IMAGE, "image": Image.open(p)} for p in paths), text("Q")]}
    expected = processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt")
    for name in ("input_ids", "pixel_values", "high_res_pixel_values"):
        ours = encoded.pixels.get(name, encoded.input_ids[None])
        assert torch.equal(ours, expected[name])


def test_bytes_and_paths_encode_equally(processor, paths):
    encoder = pickle.loads(pickle.dumps(SampleEncoder(processor)))
    by_path = encoder(Sample("1", "s", turns([IMAGE], [text("A")]), paths[:1]))
    by_bytes = encoder(Sample("1", "s", turns([IMAGE], [text("A")]), (paths[0].read_bytes(),)))
    assert torch.equal(by_path.pixels["pixel_values"], by_bytes.pixels["pixel_values"])


def test_text_only_has_no_pixels(processor):
    assert SampleEncoder(processor)(Sample("1", "s", turns([text("Q")], [text("A")]))).pixels == {}


def test_first_token_has_no_label(processor):
    """Nothing predicts it; in a packed row, the previous sample would."""
    encoder = SampleEncoder(processor)
    template = processor.chat_template
    processor.chat_template = "{% generation %}{{ messages[1]['content'][0]['text'] }}{% endgeneration %}"
    try:
        encoded = encoder(Sample("1", "s", turns([text("Q")], [text("AB")])))
    finally:
        processor.chat_template = template
    assert encoded.labels[0] == IGNORED
    assert torch.equal(encoded.labels[1:], encoded.input_ids[1:])


@pytest.fixture
def plain(make_processor, tiny_model):
    processor = make_processor(tiny_model.config)
    processor.chat_template = CHAT_TEMPLATES["plain"]
    return SampleEncoder(processor, plain=True)


def test_plain_is_one_image_and_its_caption(plain, paths):
    encoded = plain(Sample("1", "s", turns([IMAGE, text("Describe it.")], [text("A cat.")]), paths[:1]))
    assert decoded(plain.processor, encoded.input_ids) == "<image>" * 4 + "A cat.\n"
    assert decoded(plain.processor, encoded.labels[encoded.labels != IGNORED]) == "A cat.\n"


@pytest.mark.parametrize(
    ("messages", "images"),
    [
        (turns([text("Q")], [text("A")]), 0),
        (turns([IMAGE, IMAGE], [text("A")]), 2),
        (turns([IMAGE], [text("A")], [text("Q")], [text("B")]), 1),
    ],
)
def test_plain_refuses_other_samples(plain, paths, messages, images):
    with pytest.raises(SampleError, match="not one picture and its caption"):
        plain(Sample("1", "s", messages, paths[:images]))


LONG = turns([IMAGE, text("Q")], [text("answer")], [IMAGE, text("R" * 9)], [text("B")])


def test_too_long_is_an_error(processor, paths):
    sample = Sample("9", "s", LONG, paths)
    length = len(SampleEncoder(processor)(sample))
    assert len(SampleEncoder(processor, max_length=length)(sample)) == length
    with pytest.raises(SampleError, match=f"s: sample '9': too long: {length} tokens exceed max_length={length - 1}"):
        SampleEncoder(processor, max_length=length - 1)(sample)


def test_truncation_cuts_text_but_never_an_image(processor, paths):
    """At every length: a prefix of the sample with all its images, or an error."""
    sample = Sample("9", "s", LONG, paths)
    whole = SampleEncoder(processor)(sample)
    last_image = int((whole.input_ids == processor.image_token_id).nonzero().max())
    for length in range(1, len(whole) + 1):
        encoder = SampleEncoder(processor, max_length=length, too_long="truncate")
        if length <= last_image:
            with pytest.raises(SampleError, match="would cut an image") as caught:
                encoder(sample)
            assert caught.value.issue is SampleIssue.TOO_LONG
            continue
        cut = encoder(sample)
        assert torch.equal(cut.input_ids, whole.input_ids[:length])
        assert torch.equal(cut.labels, whole.labels[:length])
        assert len(cut.pixels["pixel_values"]) == 2


def test_no_labels_is_an_error(processor):
    sample = Sample("9", "s", turns([text("Q" * 20)], [text("A")]))
    with pytest.raises(SampleError, match="nothing to learn: no answer starts within the first 10 tokens"):
        SampleEncoder(processor, max_length=10, too_long="truncate")(sample)


def test_unreadable_images_are_errors(processor, paths, tmp_path):
    cut = paths[0].read_bytes()[:200]
    sources = {
        tmp_path / "none.png": "none.png: no such file",
        b"": "an image: file is empty",
        cut: "corrupt or truncated",
    }
    for source, message in sources.items():
        with pytest.raises(SampleError, match=message) as caught:
            SampleEncoder(processor)(Sample("9", "s", turns([IMAGE], [text("A")]), (source,)))
        assert (caught.value.issue, caught.value.id, caught.value.source) == (SampleIssue.IMAGE, "9", "s")
    small = SampleEncoder(processor, limits=ImageLimits(max_side=39))
    with pytest.raises(SampleError, match="40 x 30 pixels, but a side may have at most 39"):
        small(Sample("9", "s", turns([IMAGE], [text("A")]), paths[:1]))


def test_template_refusal_is_an_error(processor):
    tool = {"role": "tool", "content": [text("4")]}
    with pytest.raises(SampleError, match='refused by the chat template: roles are "user"') as caught:
        SampleEncoder(processor)(Sample("9", "s", (tool, *turns([text("Q")], [text("A")]))))
    assert caught.value.issue is SampleIssue.REFUSED


@pytest.mark.parametrize("form", ["padded", "cropped"])
def test_scaled_decoding_keeps_shapes_and_approximates_pixels(form, processor, plain, tmp_path):
    from damaged_data import encoded, image

    made = {"padded": processor, "cropped": plain.processor}[form]
    (tmp_path / "large.jpg").write_bytes(encoded(image(4, 400, 300), quality=95))
    messages = ({"role": "user", "content": [{"type": "image"}]}, {"role": "assistant", "content": [text("yes")]})
    sample = Sample("1", "s", messages, (tmp_path / "large.jpg",))
    encoders = [SampleEncoder(made, plain=form == "cropped", scaled=scaled) for scaled in (False, True)]
    whole, scaled = (encoder(sample).pixels["high_res_pixel_values"] for encoder in encoders)
    assert whole.shape == scaled.shape
    error = (whole - scaled).abs() * 255 / 4  # a standard deviation is about a quarter of the range
    assert 0 < error.mean() < 5
    small = Sample("1", "s", messages, (encoded(image(4, 40, 30)),))
    first, second = (encoder(small).pixels["high_res_pixel_values"] for encoder in encoders)
    assert first.equal(second)
