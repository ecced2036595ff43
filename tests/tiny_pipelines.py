"""Tiny diffusers pipelines of every supported class, with random weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import pre_tokenizers

from minigemini_models.image_generator.network import GeneratorSize, build_generator

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
WIDTH = 32
TINY_GENERATOR = GeneratorSize(widths=(WIDTH, WIDTH), heads=2, text_width=WIDTH, text_layers=1)


def clip_tokenizer() -> Any:
    tokens = [*BYTES, *(f"{byte}</w>" for byte in BYTES), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)}, merges=[], model_max_length=77
    )


def t5_tokenizer() -> Any:
    tokens = ["<pad>", "</s>", "<unk>", "▁", *map(chr, range(33, 127))]
    return transformers.T5TokenizerFast(vocab=[(token, -1.0) for token in tokens], extra_ids=0)


def qwen2_tokenizer() -> Any:
    tokenizer = transformers.Qwen2TokenizerFast(vocab={token: i for i, token in enumerate(BYTES)}, merges=[])
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    return tokenizer


def clip(kind: Any) -> Any:
    size = len(clip_tokenizer())
    return kind(
        transformers.CLIPTextConfig(
            vocab_size=size,
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            projection_dim=WIDTH,
            bos_token_id=size - 2,
            eos_token_id=size - 1,
            pad_token_id=size - 1,
        )
    )


def t5(width: int = WIDTH) -> Any:
    config = transformers.T5Config(
        vocab_size=len(t5_tokenizer()), d_model=width, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=4
    )
    return transformers.T5EncoderModel(config)


def vae(flow: bool) -> Any:
    later = {"use_quant_conv": False, "use_post_quant_conv": False, "shift_factor": 0.1} if flow else {}
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
        **later,
    )


def unet(text_width: int, **changes: Any) -> Any:
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        norm_num_groups=4,
        cross_attention_dim=text_width,
        **changes,
    )


def stable_diffusion() -> Any:
    return diffusers.StableDiffusionPipeline(
        vae=vae(flow=False),
        text_encoder=clip(transformers.CLIPTextModel),
        tokenizer=clip_tokenizer(),
        unet=unet(WIDTH),
        scheduler=diffusers.EulerDiscreteScheduler(steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> Any:
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(flow=False),
        text_encoder=clip(transformers.CLIPTextModel),
        text_encoder_2=clip(transformers.CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet(
            2 * WIDTH,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=WIDTH + 6 * 8,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(steps_offset=1),
    )


def stable_diffusion_3() -> Any:
    return diffusers.StableDiffusion3Pipeline(
        vae=vae(flow=True),
        text_encoder=clip(transformers.CLIPTextModelWithProjection),
        text_encoder_2=clip(transformers.CLIPTextModelWithProjection),
        text_encoder_3=t5(2 * WIDTH),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        tokenizer_3=t5_tokenizer(),
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=32,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=WIDTH,
            joint_attention_dim=2 * WIDTH,
            pooled_projection_dim=2 * WIDTH,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )


def flux() -> Any:
    return diffusers.FluxPipeline(
        vae=vae(flow=True),
        text_encoder=clip(transformers.CLIPTextModel),
        text_encoder_2=t5(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=t5_tokenizer(),
        transformer=diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )


def z_image() -> Any:
    tokenizer = qwen2_tokenizer()
    text = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
    )
    return diffusers.ZImagePipeline(
        vae=vae(flow=True),
        text_encoder=transformers.Qwen3Model(text),
        tokenizer=tokenizer,
        transformer=diffusers.ZImageTransformer2DModel(
            all_patch_size=(2,),
            all_f_patch_size=(1,),
            in_channels=4,
            dim=WIDTH,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=WIDTH,
            axes_dims=[4, 4, 8],
            axes_lens=[512, 64, 64],
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )


def embedded_generator() -> Any:
    return build_generator(TINY_GENERATOR)


PIPELINES: dict[str, Callable[[], Any]] = {
    "PainterPipeline": embedded_generator,
    "StableDiffusionPipeline": stable_diffusion,
    "StableDiffusionXLPipeline": stable_diffusion_xl,
    "StableDiffusion3Pipeline": stable_diffusion_3,
    "FluxPipeline": flux,
    "ZImagePipeline": z_image,
}


def save_pipeline(kind: str, folder: Path, variant: str | None = None) -> Path:
    """Save a pipeline of the class."""
    torch.manual_seed(0)
    PIPELINES[kind]().save_pretrained(folder, variant=variant)
    return folder


def save_lora(folder: Path) -> Path:
    """Save a LoRA for the attention of the tiny SDXL's UNet, large enough to change images."""
    from peft import LoraConfig, get_peft_model_state_dict

    torch.manual_seed(1)
    network = stable_diffusion_xl().unet
    network.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    layers = get_peft_model_state_dict(network)
    diffusers.StableDiffusionXLPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return folder
