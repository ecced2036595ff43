"""Generate images of 64 pixels from captions: flow matching with a U-Net on the low frequencies of pixel blocks.

With frequencies x, noise ε and noise level σ, the U-Net receives x_σ = (1 - σ)·x + σ·ε and predicts x; the scheduler
steps along v = ε - x = (x_σ - x) / σ. Predicting x, which lies on a low-dimensional manifold, instead of ε or v, which
do not, follows "Back to Basics: Let Denoising Generative Models Denoise" (arXiv 2511.13720). Guidance is
classifier-free (arXiv 2207.12598).
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
"""Horizontal and vertical coordinate."""
CELLS_SIDE = 3
"""Images have 3 x 3 cells. Captions start with one token per cell, row by row, whose features encode its contents."""
LEAST_SIGMA = 0.02
"""Below this noise level (x_σ - x) / σ is dominated by rounding."""


class PainterPipeline(DiffusionPipeline):
    """Text-to-image pipeline of the embedded image generator.

    Args:
        tokenizer: word-level tokenizer.
        text_encoder: bidirectional encoder of captions.
        unet: predicts clean frequencies from noisy ones and the caption.
        scheduler: flow-matching Euler scheduler.
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
        """Return the words of a caption that are not in the vocabulary."""
        # Special tokens in user text are ordinary words.
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
        """Generate one image per caption.

        Args:
            prompt: one caption, or several for one batch.
            num_inference_steps: number of denoising steps.
            guidance_scale: 1 disables guidance; larger values follow the caption more strongly.
            generator: generator of the noise; one, or one per caption.
            image: initial image, resized to the size of generated images.
            strength: noise level at the start when there is an initial image, 0 to 1.
            callback_on_step_end: called as by diffusers' own pipelines.
            output_type: `pil`, `np` or `pt`.

        Raises:
            ValueError: a caption has words that are not in the vocabulary.
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
        """Encode captions as features (B, L, C), and return their mask (B, L)."""
        tokens = self.tokenizer(prompts, padding=True, truncation=True, return_tensors="pt").to(device)
        return encode_captions(self.text_encoder, tokens.input_ids, tokens.attention_mask), tokens.attention_mask

    @staticmethod
    def _noise(shape: tuple[int, int, int, int], generator: Any) -> Tensor:
        """Sample noise on the CPU, so that a seed gives the same image on every device."""
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
    """Encode tokens (B, L) as features (B, L, C)."""
    return text_encoder(input_ids, attention_mask=attention_mask).last_hidden_state


def denoise(unet: UNet2DConditionModel, latents: Tensor, timesteps: Tensor, texts: Tensor, mask: Tensor) -> Tensor:
    """Predict the clean frequencies (B, 63, side, side); timesteps (B,) are 1000 σ.

    The U-Net also receives the coordinates of each block, and the caption's features for its cell.
    """
    batch, _, rows, columns = latents.shape
    down = torch.linspace(-1, 1, rows).to(latents).view(1, 1, -1, 1).expand(batch, 1, rows, columns)
    across = torch.linspace(-1, 1, columns).to(latents).view(1, 1, 1, -1).expand(batch, 1, rows, columns)
    cell_features = rearrange(texts[:, : CELLS_SIDE**2], "b (h w) c -> b c h w", h=CELLS_SIDE)
    model_input = torch.cat([latents, across, down, interpolate(cell_features, (rows, columns))], dim=1)
    return unet(model_input, timesteps, encoder_hidden_states=texts, encoder_attention_mask=mask).sample
