"""From a caption to a picture of 64 pixels: flow matching by a U-Net, among the low frequencies of blocks of pixels.

With x those frequencies, ε noise and σ its share, the U-Net sees x_σ = (1 - σ)·x + σ·ε and says what x is; the step
that the scheduler takes is along v = ε - x = (x_σ - x) / σ. To say x, which lies on few dimensions, and not ε or v,
which fill all of them, is the advice of "Back to Basics: Let Denoising Generative Models Denoise" (arXiv 2511.13720).
Guidance is classifier-free (arXiv 2207.12598).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, ImagePipelineOutput, UNet2DConditionModel
from diffusers.image_processor import VaeImageProcessor
from einops import rearrange
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import DistilBertModel, PreTrainedTokenizerFast

from .spectrum import BLOCK_PX, CHANNELS, to_images, to_spectrum

PLACE_CHANNELS = 2
"""Across and down."""
CELLS_SIDE = 3
"""Pictures have so many by so many cells. A caption begins with a token for each, row by row: its features say what the
cell is to show."""
LEAST_SIGMA = 0.02
"""Below it (x_σ - x) / σ is rounding."""


class PainterPipeline(DiffusionPipeline):
    """The painter's parts, and how they draw.

    Args:
        tokenizer: of whole words.
        text_encoder: reads the caption, both ways.
        unet: says what the frequencies are, from what is there so far and the caption.
        scheduler: the steps from noise to a picture.
    """

    model_cpu_offload_seq = "text_encoder->unet"
    _callback_tensor_inputs = ("latents",)

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        text_encoder: DistilBertModel,
        unet: UNet2DConditionModel,
        scheduler: FlowMatchEulerDiscreteScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(tokenizer=tokenizer, text_encoder=text_encoder, unet=unet, scheduler=scheduler)
        self.image_processor = VaeImageProcessor(vae_scale_factor=1, do_resize=False)

    def unknown_words(self, caption: str) -> list[str]:
        """Words of a caption that the painter never learnt."""
        # Its own tokens are words like any other to somebody who types them.
        tokens = self.tokenizer(caption, return_offsets_mapping=True, truncation=True, split_special_tokens=True)
        places = zip(tokens.input_ids, tokens.offset_mapping, strict=True)
        return [caption[start:end] for id, (start, end) in places if id == self.tokenizer.unk_token_id]

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        num_inference_steps: int = 20,
        guidance_scale: float = 1.5,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        image: Image.Image | Tensor | None = None,
        strength: float = 0.6,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Draw captions, one picture each.

        Args:
            prompt: one, or several that are drawn together.
            num_inference_steps: from noise to picture.
            guidance_scale: 1 follows the caption as learnt, more exaggerates it.
            generator: of the noise; one, or one per caption.
            image: to start from; it is brought to the painter's size.
            strength: how much of it is noise at the start, and may change.
            callback_on_step_end: called as by diffusers' own pipelines.
            output_type: `pil`, `np` or `pt`.

        Raises:
            ValueError: a caption has words that the painter never learnt.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if unknown := [word for caption in prompts for word in self.unknown_words(caption)]:
            raise ValueError(f"no word for {', '.join(unknown)}; a caption is like 'a red star at the top left'")
        device = self._execution_device
        dtype, side = self.unet.dtype, self.unet.config.sample_size
        guided = guidance_scale > 1
        texts, mask = self._encode_prompts([*prompts, *[""] * len(prompts)] if guided else prompts, device)
        shape = (len(prompts), CHANNELS, side, side)
        noise = self._noise(shape, generator).to(device, dtype)
        self.scheduler.set_timesteps(num_inference_steps, device=device)
        timesteps = self.scheduler.timesteps
        latents = noise
        if image is not None:
            first_step = max(0, num_inference_steps - int(num_inference_steps * strength))
            timesteps = timesteps[first_step:]
            self.scheduler.set_begin_index(first_step)
            start = to_spectrum(self._initial_image(image).to(device, dtype)).expand_as(noise)
            latents = self.scheduler.scale_noise(start, timesteps[:1], noise)
        for step, timestep in enumerate(self.progress_bar(timesteps)):
            model_input = torch.cat([latents, latents]) if guided else latents
            prediction = denoise(self.unet, model_input, timestep.expand(len(model_input)), texts, mask)
            if guided:
                with_caption, without_caption = prediction.chunk(2)
                prediction = without_caption + guidance_scale * (with_caption - without_caption)
            sigma = (timestep / self.scheduler.config.num_train_timesteps).clamp(min=LEAST_SIGMA)
            latents = self.scheduler.step((latents - prediction) / sigma, timestep, latents, return_dict=False)[0]
            if callback_on_step_end is not None:
                latents = callback_on_step_end(self, step, timestep, {"latents": latents}).get("latents", latents)
        images = to_images(latents)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(self.image_processor.postprocess(images.float(), output_type))

    def _encode_prompts(self, prompts: list[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """Captions as features (B, L, C) and their mask (B, L)."""
        tokens = self.tokenizer(prompts, padding=True, truncation=True, return_tensors="pt").to(device)
        return encode_captions(self.text_encoder, tokens.input_ids, tokens.attention_mask), tokens.attention_mask

    @staticmethod
    def _noise(shape: tuple[int, int, int, int], generator: Any) -> Tensor:
        """On the CPU, so that a seed gives the same picture on every device; each from a generator of its own."""
        if isinstance(generator, Sequence):
            return torch.cat([torch.randn(1, *shape[1:], generator=one) for one in generator])
        return torch.randn(shape, generator=generator)

    def _initial_image(self, image: Image.Image | Tensor) -> Tensor:
        if isinstance(image, Image.Image):
            side = BLOCK_PX * self.unet.config.sample_size
            resized = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
            return self.image_processor.preprocess(resized)
        return image


def encode_captions(text_encoder: DistilBertModel, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Features (B, L, C) of tokens (B, L)."""
    return text_encoder(input_ids, attention_mask=attention_mask).last_hidden_state


def denoise(unet: UNet2DConditionModel, latents: Tensor, timesteps: Tensor, texts: Tensor, mask: Tensor) -> Tensor:
    """What the frequencies (B, 63, side, side) are without their noise; timesteps (B,) are σ in thousandths.

    The U-Net also sees where each of them is, and what the caption wants there.
    """
    batch, _, rows, columns = latents.shape
    down = torch.linspace(-1, 1, rows).to(latents).view(1, 1, -1, 1).expand(batch, 1, rows, columns)
    across = torch.linspace(-1, 1, columns).to(latents).view(1, 1, 1, -1).expand(batch, 1, rows, columns)
    cell_features = rearrange(texts[:, : CELLS_SIDE**2], "b (h w) c -> b c h w", h=CELLS_SIDE)
    model_input = torch.cat([latents, across, down, interpolate(cell_features, (rows, columns))], dim=1)
    return unet(model_input, timesteps, encoder_hidden_states=texts, encoder_attention_mask=mask).sample
