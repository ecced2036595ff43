"""Load a model once, then ask it about pictures: single questions and streams; `conversation` takes turns."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch

from ..images.safe_images import ImageSource
from ..io.adapters import find_model_source
from ..io.argument_checks import check_path, check_type
from ..io.errors import RequestError
from ..io.loading import load_config, load_model, load_processor
from ..io.placement import choose_placement, input_device
from ..modeling import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from .prompts import Draws, Message, Prompts, Strings
from .sampling import GREEDY, MIN_TEMPERATURE, Sampling
from .streaming import Answer, AnswerStream

ImageInput = ImageSource


class Engine:
    """A model and its processor, ready to answer.

    Args:
        model: in eval mode, on its device.
        processor: the one it was saved with.
        name: what it was loaded from.
    """

    def __init__(self, model: MiniGeminiForConditionalGeneration, processor: MiniGeminiProcessor, name: str) -> None:
        self.model, self.processor, self.name = model, processor, name
        self._prompts = Prompts(processor, model.config)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = "nano",
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        *,
        quantize: str | None = None,
        device_map: str | Mapping[str, Any] | None = None,
        offload_folder: str | os.PathLike[str] | None = None,
        max_memory: Mapping[Any, Any] | None = None,
        base: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Load a checkpoint, or an adapter over its base.

        Args:
            model: `nano`, the embedded one; a folder; a hub id (owner/name); or an adapter: a folder of PEFT's, or a
                file of small parts.
            device: e.g. `cpu` or `cuda:1`; by itself CUDA, else MPS, else CPU.
            dtype: e.g. `bfloat16`; by itself float32 on a CPU and bfloat16 elsewhere.
            quantize: `8bit` or `4bit`: the language model's Linears, see `quantising`.
            device_map: `auto` spreads the weights over devices, memory and disk; or Accelerate's map of modules.
            offload_folder: where weights go that are not read from the checkpoint as they are.
            max_memory: by device, as Accelerate takes it, e.g. `{0: "20GiB", "cpu": "8GiB"}`.
            base: of an adapter, in place of the one that it names.

        Raises:
            CheckpointError: there is no such checkpoint, or it is not whole, or the adapter belongs to another.
            RequestError: no such device, dtype or way of loading, or a library that it needs is missing.
        """
        check_path("model", model)
        if base is not None:
            check_path("base", base)
        placement = choose_placement(device, dtype, quantize, device_map, offload_folder, max_memory)
        found = find_model_source(model, base)
        if found.adapter is not None and (quantize is not None or device_map is not None):
            raise RequestError(
                f"{os.fspath(model)}: an adapter is merged into whole weights; write them with `minigemini merge`, and "
                "name that folder"
            )
        config = load_config(found.folder)
        processor = load_processor(found.folder, config)
        weights = load_model(found.folder, config, placement)
        if found.adapter is not None:
            found.adapter.merge_into(weights)
        return cls(weights, processor, os.fspath(model))

    @property
    def device(self) -> torch.device:
        """Where inputs go, and where sums are done on them first."""
        return input_device(self.model)

    def ask(self, images: ImageInput | Sequence[ImageInput], question: str, sampling: Sampling = GREEDY) -> Answer:
        """Answer one question about one picture, or several (paths, data URIs, bytes, files, `PIL.Image`s, arrays).

        Raises:
            ImageError: a picture that is not read.
            RequestError: an argument of another type, an empty question, or one that does not fit into the model's
                context.
        """
        from .conversation import Conversation  # which imports this file

        return Conversation(self, images).ask(question, sampling)

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling = GREEDY,
        on_end: Callable[[Answer], None] | None = None,
        *,
        draw: Draws = False,
        ocr: Strings = (),
    ) -> AnswerStream:
        """Answer messages in Transformers' chat format piece by piece.

        Args:
            messages: `{"role": …, "content": [{"type": "image", "image": PIL.Image}, {"type": "text", "text": …}]}`.
            sampling: how the answer is chosen.
            on_end: called with the answer when the stream has been read to its end.
            draw, ocr: wishes for an image and strings read from pictures, as the processor takes them. Only an answer
                to such a wish has captions; tags around them are left out of any other.

        Raises:
            RequestError: messages that are no such ones, an empty question, or too much for the model's context.
        """
        check_type("sampling", sampling, Sampling, "a Sampling")
        inputs = self._prompts.inputs(messages, draw, ocr)
        room = self._prompts.room(inputs["input_ids"].shape[1])
        drawn = sampling.temperature >= MIN_TEMPERATURE
        settings = {
            "max_new_tokens": min(sampling.max_new_tokens, room),
            "num_beams": 1,
            "do_sample": drawn,
            # None: whatever the checkpoint's generation_config says about drawing does not belong here.
            "temperature": sampling.temperature if drawn else None,
            "top_k": 0 if drawn else None,
            "top_p": sampling.top_p if drawn else None,
        }
        inputs = inputs.to(self.device)
        asked = draw if isinstance(draw, bool) else bool(draw and draw[-1])
        return AnswerStream(self.model, self.processor.tokenizer, inputs, settings, sampling.seed, on_end, asked)
