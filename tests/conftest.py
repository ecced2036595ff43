"""A model with a few thousand random weights and its processor, built in well under a second."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES

# A shell has what it starts in the background ignore Ctrl-C, and what that starts in turn.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def empty_cache(tmp_path_factory) -> Iterator[Path]:
    """A cache folder of the tests' own, so that models that the user has pulled change nothing."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIGEMINI_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread, as commands and runs in separate processes do: two threads sum in a different order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SPECIAL_TOKENS = ["<pad>", "<bos>", "<eos>", "<image>"]
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that knows bytes and nothing else."""
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(SPECIAL_TOKENS + BYTES)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
    )


def tiny_config(**changes) -> MiniGeminiConfig:
    """A config of 2 x 2 patches of 8 pixels per tile, 4 x 4 high-res positions per patch, Llama unless changed."""
    text = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(SPECIAL_TOKENS + BYTES),
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **changes.pop("text_config", {}),
    }
    fields = {
        "vision_config": {
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 16,
            "patch_size": 8,
        },
        "high_res_vision_config": {
            "model_type": "convnext",
            "hidden_sizes": [4, 8, 8, 16],
            "depths": [1, 1, 1, 1],
            "layer_scale_init_value": 0.1,
            "drop_path_rate": 0.1,
        },
        "text_config": text,
        "high_res_size": 32,
        "image_token_id": SPECIAL_TOKENS.index("<image>"),
    }
    return MiniGeminiConfig(**{**fields, **changes})


@pytest.fixture(scope="session")
def make_config() -> Callable[..., MiniGeminiConfig]:
    """Build a tiny config, with changes."""
    return tiny_config


@pytest.fixture(scope="session")
def make_model() -> Callable[..., MiniGeminiForConditionalGeneration]:
    """Build a tiny model in eval mode, with changes to its config. Weights are large, so that differences show."""

    def make(**changes) -> MiniGeminiForConditionalGeneration:
        torch.manual_seed(0)
        model = MiniGeminiForConditionalGeneration(tiny_config(**changes)).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim > 1 and "embed" not in name:
                    parameter.normal_(std=0.2)
        return model

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model) -> MiniGeminiForConditionalGeneration:
    """The tiny model of the normal setting; tests that change weights make their own."""
    return make_model()


@pytest.fixture(scope="session")
def hd_model(make_model) -> MiniGeminiForConditionalGeneration:
    """The tiny model with 2 x 2 tiles and the global one."""
    return make_model(grid_size=2, use_global_tile=True, high_res_size=64)


@pytest.fixture(scope="session")
def make_processor(tokenizer) -> Callable[[MiniGeminiConfig], MiniGeminiProcessor]:
    """Build the processor that fits a config."""
    return lambda config: MiniGeminiProcessor.from_config(config, tokenizer, chat_template=CHAT_TEMPLATES["nano"])


@pytest.fixture(scope="session")
def image() -> Callable[[int], Image.Image]:
    """Draw a picture of noise from a seed."""

    def draw(seed: int, width: int = 40, height: int = 30) -> Image.Image:
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
        return Image.fromarray(pixels.numpy())

    return draw


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model, make_processor, tmp_path_factory) -> Path:
    """The tiny model saved with its processor; tests that break it copy it first."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_model.save_pretrained(folder)
    make_processor(tiny_model.config).save_pretrained(folder)
    return folder
