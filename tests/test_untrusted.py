"""Untrusted checkpoints: implausible numbers, wrong types, endless templates and special files are one-line errors
within seconds and bounded memory."""

import json
import os
import resource
import shutil
import time
from pathlib import Path

import pytest
import torch
from jinja2 import TemplateError
from PIL import Image
from tiny_published import HIGH_RES, LOW_RES, change_config, copy_published
from transformers.utils.chat_template_utils import render_jinja_template

from minigemini.conversion import assemble, convert
from minigemini.imagegen.pipeline_loading import find_pipeline
from minigemini.inference import CheckpointError, Engine, RequestError, Sampling
from minigemini.inference.model_report import report_model
from minigemini.inference.verify_model import verify
from minigemini.io.adapters import find_model_source
from minigemini.io.loading import find_processor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.modeling.chat_templates.template_limits import MAX_SECONDS, limit_template
from minigemini_models.image_generator import GENERATOR_DIR

MOST_SECONDS, MOST_BYTES = 10.0, 500e6
"""Of a refusal, with room for a busy machine; without the checks it is gigabytes and no end."""


@pytest.fixture
def broken(tiny_checkpoint, tmp_path):
    """A copy of the checkpoint, to be broken."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "broken")


@pytest.fixture(autouse=True)
def bounded():
    """No test may take long or much."""
    began, held = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - began < MOST_SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024 < MOST_BYTES


def change(path: Path, value, *keys) -> None:
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def refused(folder: Path, match: str, load=lambda folder: Engine.load(folder, device="cpu")) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


# Numbers


CONFIGS = {
    "layers": (("text_config", "num_hidden_layers"), 10**30, "num_hidden_layers 10+, more than"),
    "layers that are many": (("text_config", "num_hidden_layers"), 900_000, "a larger model than the 126 tensors"),
    "layers of the ViT": (("vision_config", "num_hidden_layers"), 500_000, "a larger model than"),
    "depths": (("high_res_vision_config", "depths"), [1, 1, 1, 200_000], "a larger model than"),
    "vocabulary": (("text_config", "vocab_size"), 10**12, "a larger model than"),
    "width": (("text_config", "hidden_size"), 2**40, "a larger model than"),
    "labels": (("text_config", "num_labels"), 10**9, "num_labels 1000000000, more than 1,000,000"),
    "pixels": (("high_res_size",), 32 * 10**6, "high_res_size 32000000, more than 8,192"),
    "projector": (("projector_depth",), 10**9, "projector_depth 1000000000, more than"),
    "dtype": (("dtype",), "cpu", "config.json"),
    "dtype of another kind": (("dtype",), [7], "config.json"),
    "depth": (("text_config", "x"), [[[[1]]]] * 3, None),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_implausible_configs_are_refused_before_building(case, broken):
    keys, value, message = CONFIGS[case]
    change(broken / "config.json", value, *keys)
    if message is None:
        assert Engine.load(broken, device="cpu")
    else:
        refused(broken, message)


@pytest.mark.parametrize("name", ["config.json", "processor_config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "text",
    ['{"a": ' + "9" * 10_000 + "}", '{"a": ' + "9" * 1000 + "}", '{"a":' * 9999 + "1" + "}" * 9999, "[" * 10**6, "[]"],
    ids=["10,000 digits", "1,000 digits", "nested", "unclosed", "a list"],
)
def test_invalid_json_files_are_refused(name, text, broken):
    (broken / name).write_text(text)
    refused(broken, name.replace(".", r"\."))


def test_a_published_config_is_bounded_too(tmp_path):
    for field, value in (("num_hidden_layers", 10**30), ("num_hidden_layers", 900_000), ("mm_vision_tower", [])):
        folder = copy_published(tmp_path / f"published-{field}-{len(str(value))}")
        change_config(folder, **{field: value})
        with pytest.raises(CheckpointError):
            convert(str(folder), tmp_path / "out", low_res_encoder=str(LOW_RES), high_res_encoder=str(HIGH_RES))


# Files


def endless(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("harm", [pipe, endless])
@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "README.md", "more.json"]
)
def test_only_regular_files_are_opened(name, harm, broken):
    harm(broken / name)
    refused(broken, rf"{name}: not a regular file")


@pytest.mark.parametrize("harm", [pipe, endless])
def test_only_regular_files_are_opened_in_other_folders(harm, tmp_path):
    painter = shutil.copytree(GENERATOR_DIR, tmp_path / "painter")
    harm(painter / "unet" / "config.json")
    refused(painter, "not a regular file", lambda folder: find_pipeline(str(folder)))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    harm(adapter / "adapter_config.json")
    refused(adapter, "not a regular file", find_model_source)
    published = copy_published(tmp_path / "published")
    harm(published / "tokenizer.model")
    refused(published, "not a regular file", lambda folder: convert(str(folder), tmp_path / "out"))
    encoder = shutil.copytree(HIGH_RES, tmp_path / "encoder")
    harm(encoder / "more.json")
    refused(
        encoder,
        "not a regular file",
        lambda folder: assemble(str(folder), str(LOW_RES), str(HIGH_RES), tmp_path / "out"),
    )


def test_huge_config_file_is_refused(broken):
    os.truncate(broken / "config.json", 2**40)
    refused(broken, "has 1,099,511,627,776 bytes")


# Settings


SETTINGS = {
    "resample": ("processor_config.json", ("image_processor", "resample"), "x"),
    "resample out of range": ("processor_config.json", ("image_processor", "resample"), 99),
    "mean": ("processor_config.json", ("image_processor", "image_mean"), "x"),
    "a mean too few": ("processor_config.json", ("image_processor", "image_mean"), [0.5, 0.5]),
    "a mean that is none": ("processor_config.json", ("image_processor", "image_mean"), [float("nan")] * 3),
    "std": ("processor_config.json", ("image_processor", "image_std"), [0, 0, 0]),
    "rescaling": ("processor_config.json", ("image_processor", "rescale_factor"), "much"),
    "size": ("processor_config.json", ("image_processor", "high_res_size"), {"height": 64, "width": 64}),
    "a huge size": ("processor_config.json", ("image_processor", "high_res_size"), {"height": 10**8, "width": 10**8}),
    "the global tile": ("processor_config.json", ("use_global_tile",), ""),
    "the grid": ("processor_config.json", ("grid_size",), 1.0),
    "end": ("generation_config.json", ("eos_token_id",), "x"),
    "an end beyond the vocabulary": ("generation_config.json", ("eos_token_id",), [2, 10**6]),
    "stop strings": ("generation_config.json", ("stop_strings",), [7]),
    "a stop string": ("generation_config.json", ("stop_strings",), ["."]),
    "beams": ("generation_config.json", ("num_return_sequences",), 4),
    "what generate gives back": ("generation_config.json", ("return_dict_in_generate",), True),
    "penalty": ("generation_config.json", ("repetition_penalty",), -1.0),
    "code from elsewhere": ("generation_config.json", ("cache_implementation",), "owner/name"),
    "banned words": ("generation_config.json", ("bad_words_ids",), [[]]),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_would_fail_later_are_refused_when_read(case, broken):
    name, keys, value = SETTINGS[case]
    change(broken / name, value, *keys)
    refused(broken, "")


def test_token_beyond_the_vocabulary_is_refused(broken, image):
    tokenizer = json.loads((broken / "tokenizer.json").read_text())
    token = {**tokenizer["added_tokens"][0], "id": 10**6, "content": "<far>", "special": False}
    tokenizer["added_tokens"].append(token)
    tokenizer["model"]["vocab"]["<far>"] = 10**6
    (broken / "tokenizer.json").write_text(json.dumps(tokenizer))
    engine = Engine.load(broken, device="cpu")
    assert engine.ask(image(0), "What?", Sampling(max_new_tokens=2)).new_tokens
    with pytest.raises(RequestError, match="contains token 1000000"):
        engine.stream([{"role": "user", "content": [{"type": "text", "text": "What is <far>?"}]}])


def test_tokenizer_that_expands_text_is_refused(broken):
    """By normalizers, which are refused, and by a regular expression, which tokenizers itself gives up."""
    ten = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
    change(broken / "tokenizer.json", {"type": "Sequence", "normalizers": [ten] * 7}, "normalizer")
    refused(broken, "normalizer expands one character to 10,000,000")
    change(broken / "tokenizer.json", None, "normalizer")
    backtracking = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    change(broken / "tokenizer.json", backtracking, "pre_tokenizer")
    engine = Engine.load(broken, device="cpu")
    with pytest.raises(RequestError, match="the tokenizer failed"):
        engine.stream([{"role": "user", "content": [{"type": "text", "text": "a" * 30 + "!"}]}])


@pytest.mark.parametrize(("key", "value"), [("head_dim", -16), ("rope_parameters", {"rope_type": "1.5"})])
def test_configs_that_cannot_be_built_are_refused(broken, key, value):
    change(broken / "config.json", value, "text_config", key)
    refused(broken, "")
    refused(broken, "describes no model", lambda folder: verify(str(folder)))


def test_zero_width_head_is_refused(broken):
    change(broken / "config.json", 0, "text_config", "num_attention_heads")
    with pytest.raises(CheckpointError):
        report_model(broken)


# Chat templates


CHAT = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]
LOOP = "{% for i in range(60) %}"
GREEDY = {
    "loops": "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3,
    "loops that write": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "multiplied text": "{{ 'x' * 10000000000 }}",
    "text multiplied by a power": "{{ 'x' * 10**10 }}",
    "multiplied list": "{% set x = [0] * 9999999999 %}",
    "centered": "{{ 'x'.center(9999999999) }}",
    "centered by a filter": "{{ 'x'|center(9999999999) }}",
    "formatted": "{{ '%9999999999d' % 1 }}",
    "formatted by a method": "{{ '{:9999999999}'.format(1) }}",
    "indented": "{{ 'x'|indent(9999999999, true) }}",
    "indented JSON": "{{ messages|tojson(indent=9999999999) }}",
    "bytes": "{{ (1).to_bytes(9999999999, 'big') }}",
    "power": "{{ 9999999**9999999 }}",
    "joined": "{{ range(99999)|join(range(99999)|join('x')) }}",
    "doubled by ~": "{% set n = namespace(x='x') %}" + LOOP + "{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubled by +": "{% set n = namespace(x='x') %}" + LOOP + "{% set n.x = n.x + n.x %}{% endfor %}",
    "doubled by lists": "{% set n = namespace(x=[]) %}" + LOOP + "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "doubled by dicts": "{% set n = namespace(x=[]) %}" + LOOP + "{% set n.x = dict(a=n.x, b=n.x) %}{% endfor %}",
    "replaced": "{% set n = namespace(x='x') %}" + LOOP + "{% set n.x = n.x|replace('x', 'xxxx') %}{% endfor %}",
    "replaced by a method": "{% set n = namespace(x='x') %}"
    + LOOP
    + "{% set n.x = n.x.replace('x', 'xx') %}{% endfor %}",
    "mapped": "{% set b = range(9999)|join('xxx') %}{% set c = range(99999)|map('replace', '1', b)|list %}",
    "macro": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
    "endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "recursive loop": "{% for x in [[[1]]] recursive %}{{ loop([x, x]) }}{% endfor %}",
    "captured": "{% set x %}{% for i in range(99999) %}" + "y" * 9999 + "{% endfor %}{% endset %}",
    "lorem ipsum": "{{ lipsum(9999999) }}",
    "parentheses": "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    "digits": "{{ " + "9" * 9999 + " }}",
    "long": "x" * 200_000,
}


def limited(template: str) -> str:
    limit_template(template)
    return render_jinja_template([CHAT], chat_template=template)[0][0]


@pytest.mark.parametrize("case", GREEDY)
def test_templates_have_limits(case, broken):
    """By Transformers' own renderer, once they are limited, and in a checkpoint."""
    began = time.thread_time()
    with pytest.raises(TemplateError):
        limited(GREEDY[case])
    assert time.thread_time() - began < 3 * MAX_SECONDS
    (broken / "chat_template.jinja").write_text(GREEDY[case])
    refused(broken, "cannot process a question|has 200,000 bytes")


WRONG = ["{% include 'x' %}", "{{ 1 + 'a' }}", "{{ nothing.at.all }}", "{% for m in messages %}", "{{ ''.__class__ }}"]


@pytest.mark.parametrize("template", [*WRONG, "", "no picture", "<image><image>", "{{ raise_exception('no') }}"])
def test_templates_that_fail_are_refused_when_loaded(template, broken):
    (broken / "chat_template.jinja").write_text(template)
    refused(broken, "cannot process a question|no chat_template")
    with pytest.raises(CheckpointError):
        find_processor(str(broken))


@pytest.mark.parametrize("name", CHAT_TEMPLATES)
def test_limits_do_not_change_rendering(name):
    """Texts and masks of our own templates, once as they are and once under limits as other people's."""
    chat = [
        *({"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What <b>is</b> it?"}]},),
        *({"role": "assistant", "content": "A dog."}, {"role": "user", "content": "Hm? " * 2000}),
        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
    ]
    chat = [chat[0], chat[1]] if name == "plain" else chat
    limited = CHAT_TEMPLATES[name] + "{# of somebody else #}"
    limit_template(limited)
    for arguments in ({"add_generation_prompt": True}, {"return_assistant_tokens_mask": True}):
        theirs, ours = (
            render_jinja_template([chat], chat_template=template, bos_token="<s>", eos_token="</s>", **arguments)
            for template in (CHAT_TEMPLATES[name], limited)
        )
        assert ours == theirs


def test_common_template_features_are_rendered():
    template = (
        "{{- bos_token }}{%- set ns = namespace(system='You are helpful.', first=true) %}"
        "{%- if messages[0]['role'] == 'system' %}{%- set ns.system = messages[0]['content']|trim %}"
        "{%- set messages = messages[1:] %}{%- endif %}{{- '<|system|>\\n' + ns.system + '<|end|>\\n' }}"
        "{%- for message in messages %}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{- raise_exception('Roles must alternate') }}{%- endif %}{{- '<|' ~ message.role ~ '|>\\n' }}"
        "{%- if message.content is string %}{{- message.content.strip() }}{%- else %}"
        "{%- for part in message.content|selectattr('type', 'equalto', 'text') %}{{- part.text }}{%- endfor %}"
        "{%- endif %}{{- '<|end|>\\n' if not loop.last else '<|end|>' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '\\n<|assistant|>\\n' }}{%- endif %}{{- '-' * 3 }}"
    )
    arguments = {"bos_token": "<s>", "add_generation_prompt": True}
    theirs = render_jinja_template([CHAT], chat_template=template, **arguments)
    limit_template(template)
    assert render_jinja_template([CHAT], chat_template=template, **arguments) == theirs


def test_validating_a_processor_does_not_change_it(tiny_checkpoint):
    """Trying a processor when it is loaded leaves nothing behind in it."""
    engine = Engine.load(tiny_checkpoint, device="cpu")
    once, again = (engine.processor.image_processor(Image.new("RGB", (9, 5), "red"), return_tensors="pt") for _ in "12")
    assert torch.equal(once["pixel_values"], again["pixel_values"])
