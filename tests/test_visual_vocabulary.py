"""The visual vocabulary computes its formula, and starts from classifiers and names."""

import pytest
import torch
from transformers import AutoModelForImageTextToText

from minigemini.modeling.visual_vocabulary import (
    VisualVocabulary,
    WordGroup,
    start_from_classifier,
    start_from_names,
)

GROUPS = (WordGroup("classes", 7, "low_res", 0.5), WordGroup("colors", 3, "mined"))
FIELDS = [
    {"name": "classes", "size": 7, "source": "low_res", "context_weight": 0.5},
    {"name": "colors", "size": 3, "source": "mined"},
]


@pytest.fixture
def case():
    torch.manual_seed(0)
    vocabulary = VisualVocabulary(6, 4, GROUPS).double()
    low_res, mined = torch.randn(2, 3, 5, 6, dtype=torch.float64), torch.randn(2, 3, 5, 6, dtype=torch.float64)
    return vocabulary, low_res, low_res + mined


def test_formula(case):
    vocabulary, low_res, features = case
    expected = torch.zeros(2, 3, 5, 4, dtype=torch.float64)
    for group, source in zip(GROUPS, (low_res, features), strict=True):
        words = vocabulary.groups[group.name]
        place = words.head(source).log_softmax(-1)
        tile = words.head(source.mean(-2, keepdim=True)).log_softmax(-1)
        expected += (place + group.context_weight * tile).softmax(-1) @ words.embeddings
    torch.testing.assert_close(vocabulary(low_res, features), expected, rtol=0, atol=1e-6)  # softmax in float32


def test_low_res_words_do_not_see_what_is_mined(case):
    vocabulary, low_res, features = case
    before, after = vocabulary.logits(low_res, features), vocabulary.logits(low_res, features + 1)
    assert torch.equal(before["classes"], after["classes"])
    assert not torch.equal(before["colors"], after["colors"])


def test_all_words_mix_to_the_token_and_few_to_their_share(case):
    vocabulary, low_res, features = case
    all_words = vocabulary.top_words(low_res, features, k=100)
    assert {name: tuple(words.shape) for name, (words, _) in all_words.items()} == {
        "classes": (2, 3, 5, 7),
        "colors": (2, 3, 5, 3),
    }
    torch.testing.assert_close(vocabulary.mix_top(all_words), vocabulary(low_res, features).float(), rtol=0, atol=1e-6)
    words, weights = vocabulary.top_words(low_res, features, k=2)["classes"]
    probabilities = vocabulary.logits(low_res, features)["classes"].softmax(-1)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 5))
    assert torch.equal(words[..., 0], probabilities.argmax(-1))
    one = vocabulary.mix_top({"classes": (words[..., :1], torch.ones(2, 3, 5, 1))})
    torch.testing.assert_close(one, vocabulary.groups["classes"].embeddings[words[..., 0]].float())


def test_start_from_a_classifier_and_names(case, tokenizer):
    words = case[0].float().groups["classes"]
    before = words.head.weight[2:].clone()
    weight, bias = torch.randn(2, 6), torch.randn(2)
    start_from_classifier(words, weight, bias)
    features = torch.randn(1, 1, 1, 6)
    torch.testing.assert_close(words.head(features)[..., :2], torch.nn.functional.linear(features, weight, bias))
    assert torch.equal(words.head.weight[2:], before)

    embeddings = torch.randn(len(tokenizer), 4)
    start_from_names(words, ["cat", "a b"], tokenizer, embeddings, first=3)
    for word, name in ((3, "cat"), (4, "a b")):
        ids = tokenizer.encode(f" {name}", add_special_tokens=False)
        torch.testing.assert_close(words.embeddings[word], embeddings[ids].mean(0))
    with pytest.raises(ValueError, match="words 6 to 7 of the group"):
        start_from_classifier(words, weight, bias, first=6)
    with pytest.raises(ValueError, match="2 names for words 6 on, but the group has 7 words"):
        start_from_names(words, ["a", "b"], tokenizer, embeddings, first=6)
    with pytest.raises(ValueError, match="makes no tokens of ''"):
        start_from_names(words, [""], tokenizer, embeddings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_the_model(make_model, tmp_path, dtype):
    model = make_model(projector_type="visual_vocabulary", visual_vocabulary=FIELDS)
    model.save_pretrained(tmp_path)
    loaded, report = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True, dtype=dtype)
    assert not any(report.values()), report
    pixels, high_res = torch.randn(2, 3, 16, 16, dtype=dtype), torch.randn(2, 3, 32, 32, dtype=dtype)
    expected = model.get_image_features(pixels.float(), high_res.float())
    found = loaded.get_image_features(pixels, high_res)
    assert found.pooler_output.dtype == dtype
    tolerance = 0 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(found.pooler_output.float(), expected.pooler_output, rtol=0, atol=tolerance)
    model.zero_grad()
    expected.pooler_output.square().sum().backward()
    names = [name for name, parameter in model.model.multi_modal_projector.named_parameters() if parameter.grad is None]
    assert names == []
    model.zero_grad()
