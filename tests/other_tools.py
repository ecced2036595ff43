"""Checks the plugins of examples/plugins in the environments of the tools that they are for.

    python tests/other_tools.py swift|llamafactory|axolotl

Each tool encodes conversations by its own code, and must get the tokens, labels and pixels of Mini-Gemini's processor.
The tools pin other releases of Transformers and more, so docs/other-tools.md says how their environments were made.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from transformers import AutoTokenizer

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples" / "plugins"))
from minigemini import MiniGeminiConfig, MiniGeminiProcessor  # noqa: E402
from minigemini.modeling.chat_templates import CHAT_TEMPLATES  # noqa: E402
from minigemini.modeling.image_token import add_image_token  # noqa: E402
from minigemini_models.nano import NANO_DIR  # noqa: E402

SMALL = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 2}
SIGN, THINGS = (str(ROOT / "examples" / name) for name in ("sign.png", "things.png"))
CONVERSATIONS: list[tuple[list[str], list[str]]] = [
    ([SIGN], ["<image>What does the sign say?", "BEAT", "What color is it?", "Red."]),
    ([SIGN, THINGS], ["<image><image>Are there as many things in both?", "No."]),
    ([SIGN, THINGS], ["<image>What is it?", "A sign.", "<image>And here?", "Things."]),
    ([], ["Say hello.", "Hello."]),
]
"""Images, and turns of user and assistant in alternation."""


def save_processors(folder: Path) -> list[Path]:
    """Save nano's processor, and one of the format and the tokenizer of MGM-7B, where the tokenizer adds BOS."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "tests" / "golden" / "prompts" / "tok_llama_fast")
    config = MiniGeminiConfig(
        vision_config={**SMALL, "image_size": 64, "patch_size": 16},
        high_res_vision_config={"model_type": "convnext", "hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]},
        text_config=SMALL,
        high_res_size=128,
        image_token_id=add_image_token(tokenizer, "<image>"),
    )
    vicuna = MiniGeminiProcessor.from_config(config, tokenizer, chat_template=CHAT_TEMPLATES["vicuna"])
    folders = [folder / "nano", folder / "vicuna"]
    for target, processor in zip(folders, (MiniGeminiProcessor.from_pretrained(NANO_DIR), vicuna), strict=True):
        processor.save_pretrained(target)
        (target / "config.json").write_bytes((Path(NANO_DIR) / "config.json").read_bytes())  # ms-swift reads one
    return folders


def messages_of(images: list[str], turns: list[str]) -> list[dict[str, Any]]:
    """The conversation in the processor's form."""
    left = iter(images)
    messages = []
    for index, turn in enumerate(turns):
        pieces = turn.split("<image>")
        parts = [*({"type": "image", "path": next(left)} for _ in pieces[1:]), {"type": "text", "text": pieces[-1]}]
        messages.append({"role": ("user", "assistant")[index % 2], "content": parts})
    return messages


def plain_messages(turns: list[str]) -> list[dict[str, str]]:
    """The turns as text, with a tag for each image."""
    return [{"role": ("user", "assistant")[index % 2], "content": turn} for index, turn in enumerate(turns)]


def expected(processor: MiniGeminiProcessor, images: list[str], turns: list[str]) -> dict[str, Any]:
    """Tokens, labels and pixels by the processor."""
    options = {"tokenize": True, "return_dict": True, "return_tensors": "pt", "return_assistant_tokens_mask": True}
    encoded = processor.apply_chat_template(messages_of(images, turns), **options)
    encoded["labels"] = encoded["input_ids"].masked_fill(~encoded.pop("assistant_masks").bool(), -100)
    return dict(encoded)


def check(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compare what a tool encoded with what the processor encodes."""
    for key in ("input_ids", "labels"):
        ids = torch.as_tensor(found[key]).reshape(1, -1)
        assert ids.tolist() == wanted[key].tolist(), (key, ids.tolist(), wanted[key].tolist())
    for key in wanted.keys() & {"pixel_values", "high_res_pixel_values"}:
        assert torch.equal(found[key].float(), wanted[key].float()), key


def swift(folder: Path) -> None:
    """ms-swift: the template encodes for training, and the prompt alone for inference."""
    import swift_minigemini  # noqa: F401
    from swift.model import get_processor
    from swift.template import get_template

    ours = MiniGeminiProcessor.from_pretrained(folder)
    template = get_template(get_processor(str(folder), torch_dtype=torch.float32, model_type="minigemini"))
    for images, turns in CONVERSATIONS:
        messages = plain_messages(turns)
        template.set_mode("train")
        encoded = template.encode({"messages": messages, "images": images})
        check(encoded, expected(ours, images, turns))
        collated = template.data_collator([encoded])
        assert collated["input_ids"].shape == collated["labels"].shape
        template.set_mode("transformers")
        prompt = template.encode({"messages": messages[:-1], "images": images})["input_ids"]
        options = {"tokenize": True, "return_dict": True, "add_generation_prompt": True}
        assert [prompt] == ours.apply_chat_template(messages_of(images, turns[:-1]), **options)["input_ids"]


def llamafactory(folder: Path) -> None:
    """LLaMA-Factory: the multimodal plugin expands images, and the template encodes turns."""
    import llamafactory_minigemini  # noqa: F401
    from llamafactory.data.template import TEMPLATES

    ours, tokenizer = MiniGeminiProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    template = TEMPLATES["minigemini"]
    for paths, turns in CONVERSATIONS:
        images = [Image.open(path) for path in paths]
        messages = template.mm_plugin.process_messages(plain_messages(turns), images, [], [], ours)
        ids, labels = [], []
        for prompt, answer in template.encode_multiturn(tokenizer, messages):
            ids += prompt + answer
            labels += [-100] * len(prompt) + answer
        pixels = template.mm_plugin.get_mm_inputs(images, [], [], [len(images)], [0], [0], [ids], ours)
        check({"input_ids": ids, "labels": labels, **pixels}, expected(ours, paths, turns))


def axolotl(folder: Path) -> None:
    """Axolotl: its collator for multimodal chats, with the strategy that it finds for the model."""
    import axolotl_minigemini
    from axolotl.processing_strategies import get_processing_strategy
    from axolotl.utils.collators.mm_chat import MultiModalChatDataCollator

    ours = MiniGeminiProcessor.from_pretrained(folder)
    strategy = get_processing_strategy(ours, ours.chat_template, None, model_type="minigemini")
    assert type(strategy) is axolotl_minigemini.MiniGeminiStrategy
    collate = MultiModalChatDataCollator(ours.tokenizer, strategy)
    rows = [{"messages": messages_of(images, turns)} for images, turns in CONVERSATIONS]
    for row, (images, turns) in zip(rows, CONVERSATIONS, strict=True):
        check(collate([row]), expected(ours, images, turns))
    batch = collate(rows)
    assert batch["labels"].shape == batch["input_ids"].shape


if __name__ == "__main__":
    tool = {"swift": swift, "llamafactory": llamafactory, "axolotl": axolotl}[sys.argv[1]]
    with TemporaryDirectory() as temporary:
        for saved in save_processors(Path(temporary)):
            tool(saved)
            print(f"{sys.argv[1]}, {saved.name}: {len(CONVERSATIONS)} conversations are encoded as by the processor")
