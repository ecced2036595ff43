"""The engine: load a model once, then answer questions about images and videos. `conversation` adds turns."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import torch
from transformers import LogitsProcessorList

from ..images.safe_images import ImageSource
from ..images.video import Video
from ..io.adapters import find_model_source
from ..io.argument_checks import check_path, check_type
from ..io.default_model import announce_default, default_model
from ..io.errors import RequestError
from ..io.exported_files import check_exported_options, find_exported
from ..io.integrity import check_descriptions
from ..io.load_checks import check_load_options
from ..io.loading import load_config, load_model, load_processor
from ..io.placement import choose_dtype, choose_placement, input_device
from ..io.untrusted import check_files
from ..modeling import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from .continuous_batching import ContinuousBatcher
from .exported_model import ExportedModel, load_generation_config
from .exported_runtimes import open_runtime
from .prompts import Draws, Message, Prompts, Strings, Tool
from .sampling import GREEDY, MIN_TEMPERATURE, Sampling
from .slot_cache import unable_to_join
from .streaming import Answer, AnswerStream
from .structured_output import StructuredOutput
from .visual_tokens import VisualTokenCache

if TYPE_CHECKING:
    from .ocr import RapidOcrEngine

ImageInput = ImageSource
VideoInput = str | os.PathLike[str] | bytes | IO[bytes] | Video
JOINED_ROWS, JOINED_TOKENS = 8, 16384
"""Limits of the answers that are streamed from one engine at the same time and decoded together."""


class Engine:
    """A loaded model and its processor.

    Args:
        model: In eval mode, on its device; or an exported model, which can answer and nothing else.
        processor: The processor that was saved with the model.
        name: Name or path that the model was loaded from.
    """

    def __init__(
        self, model: MiniGeminiForConditionalGeneration | ExportedModel, processor: MiniGeminiProcessor, name: str
    ) -> None:
        self.model: Any = model
        self.processor, self.name = processor, name
        self.prompts = Prompts(processor, model.config)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | None = None,
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        *,
        quantize: str | None = None,
        device_map: str | Mapping[str, Any] | None = None,
        offload_folder: str | os.PathLike[str] | None = None,
        max_memory: Mapping[Any, Any] | None = None,
        base: str | os.PathLike[str] | None = None,
        packed: bool = False,
        encoder_dtype: str | torch.dtype | None = None,
    ) -> Self:
        """Load a checkpoint, or an adapter with its base model.

        Args:
            model: `nano` (the embedded model), `small` (once it is pulled), a folder, a hub id (owner/name), or an
                adapter: a PEFT folder or a file of connector weights. Default: `small` if it is pulled, else `nano`.
                A folder that `minigemini export` wrote is run by its runtime, on the CPU.
            device: E.g. `cpu` or `cuda:1`. Default: CUDA, else MPS, else CPU.
            dtype: E.g. `bfloat16`. Default: float32 on a CPU, bfloat16 elsewhere.
            quantize: `8bit` or `4bit` quantizes the Linears of the language model, see `io.quantization`.
            device_map: `auto` spreads the weights over devices, memory and disk; or a module map for Accelerate.
            offload_folder: Folder for weights on disk that cannot be read directly from the checkpoint.
            max_memory: Per device, in Accelerate's format, e.g. `{0: "20GiB", "cpu": "8GiB"}`.
            base: Base model of an adapter, in place of the one that the adapter names.
            packed: Arrange the weights for the matrix products of this processor, which makes answers on a CPU up to
                twice as fast. The model can then answer, but not be trained, saved or exported. No effect elsewhere.
            encoder_dtype: The dtype of the image encoders, e.g. `bfloat16` on a CPU that multiplies it faster than
                float32 (`minigemini info` says so). Default: that of the model.

        Raises:
            CheckpointError: The checkpoint does not exist or is incomplete, or the adapter does not fit its base.
            RequestError: The device, dtype or another option is invalid, or a required library is missing.
        """
        if model is None:
            model = default_model()
            announce_default(model)
        check_path("model", model)
        if base is not None:
            check_path("base", base)
        if (exported := find_exported(model)) is not None:
            check_exported_options(
                model,
                device=device,
                dtype=dtype,
                quantize=quantize,
                device_map=device_map,
                base=base,
                encoder_dtype=encoder_dtype,
            )
            return cls._load_exported(Path(model).expanduser(), *exported)
        check_load_options(encoder_dtype=encoder_dtype)
        placement = choose_placement(device, dtype, quantize, device_map, offload_folder, max_memory)
        encoders = None if encoder_dtype is None else choose_dtype(encoder_dtype, placement.device)
        found = find_model_source(model, base)
        if found.adapter is not None and (quantize is not None or device_map is not None):
            raise RequestError(
                f"{os.fspath(model)}: an adapter needs unquantized weights without a device_map; merge it with "
                "`minigemini merge`, and load the merged folder"
            )
        config = load_config(found.folder)
        processor = load_processor(found.folder, config)
        weights = load_model(found.folder, config, placement)
        if found.adapter is not None:
            found.adapter.merge_into(weights)
        if encoders is not None or packed:
            from .packed_model import prepare_to_answer  # imports language models of other kinds than the loaded one

            prepare_to_answer(weights, encoders, packed=packed and device_map is None)
        return cls(weights, processor, os.fspath(model))

    @classmethod
    def _load_exported(cls, folder: Path, runtime: str, files: Mapping[str, Path]) -> Self:
        check_files(folder)
        check_descriptions(folder)
        config = load_config(folder)
        processor = load_processor(folder, config)
        generation = load_generation_config(folder, config)
        return cls(ExportedModel(config, generation, open_runtime(runtime, files)), processor, str(folder))

    def check_modules(self, what: str) -> None:
        """Check that the model has modules, for what computes with them. Raises `RequestError`."""
        if isinstance(self.model, ExportedModel):
            raise RequestError(f"{self.name}: no {what} with an exported model; use what it was exported from")

    @property
    def device(self) -> torch.device:
        """Device that inputs are moved to, which runs the first layers."""
        return self.model.device if isinstance(self.model, ExportedModel) else input_device(self.model)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the model, except of weights that are quantized and encoders in a dtype of their own."""
        if isinstance(self.model, ExportedModel):
            return self.model.dtype
        return self.model.get_input_embeddings().weight.dtype

    @cached_property
    def default_reader(self) -> "RapidOcrEngine | None":
        """Reads the text in images for models that were trained with layouts; None for others, or without rapidocr."""
        from .ocr import choose_reader

        return choose_reader(None, self.processor.ocr_format)

    def ask(
        self,
        images: ImageInput | Sequence[ImageInput],
        question: str,
        sampling: Sampling = GREEDY,
        ocr: bool | None = None,
        videos: VideoInput | Sequence[VideoInput] = (),
    ) -> Answer:
        """Answer one question about one or more images (paths, data URIs, bytes, files, `PIL.Image`s or arrays).

        Args:
            images: An image, or a sequence of images, which may be empty if there are videos.
            question: Text of the question.
            sampling: How tokens are chosen.
            ocr: Whether OCR reads the images. Default: if the model was trained with layouts and rapidocr is installed.
            videos: A video (path, data URI, bytes, file or `Video`), or a list of videos. The processor's
                `video_sampling` says which of their frames are shown.

        Raises:
            ImageError: An image or a video cannot be read.
            RequestError: An argument has the wrong type, the question is empty or exceeds the model's context, or
                rapidocr is not installed.
        """
        from .conversation import Conversation  # a circular import at the top
        from .ocr import choose_reader

        reader = self.default_reader if ocr is None else choose_reader(ocr, self.processor.ocr_format)
        conversation = Conversation(self, images, reader)
        several: Sequence[Any] = videos if isinstance(videos, list | tuple) else [videos]
        for video in several:
            conversation.add_video(video)
        return conversation.ask(question, sampling)

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling = GREEDY,
        on_end: Callable[[Answer], None] | None = None,
        *,
        draw: Draws = False,
        ocr: Strings = (),
        continue_final_message: bool = False,
        tools: Sequence[Tool] = (),
        batcher: ContinuousBatcher | None = None,
    ) -> AnswerStream:
        """Stream the answer to messages in Transformers' chat format.

        Args:
            messages: `{"role": …, "content": [{"type": "image", "image": PIL.Image}, {"type": "text", "text": …}]}`.
            sampling: How tokens are chosen.
            on_end: Called with the answer when the stream is exhausted.
            draw, ocr: Image requests and OCR text in the processor's format. An answer keeps its captions only if the
                last turn requests an image; otherwise the caption tags are removed.
            continue_final_message: Continue the last message, one of the assistant, instead of beginning a new one. The
                answer is only what follows it, with any tags.
            tools: Tools that the model may call, in OpenAI's form; `tool_calls` reads the calls from the answer.
            batcher: Decodes this answer, together with others; by default one of this engine.

        Raises:
            RequestError: The messages are malformed, or the question is empty or exceeds the model's context.
            StructureError: The JSON schema of `sampling` cannot be followed.
        """
        inputs = self.prompts.inputs(messages, draw, ocr, continue_final_message, tools)
        image_requested = draw if isinstance(draw, bool) else bool(draw and draw[-1])
        return self._stream(inputs, sampling, on_end, image_requested, continue_final_message, batcher)

    def complete(
        self, prompt: str, sampling: Sampling = GREEDY, batcher: ContinuousBatcher | None = None
    ) -> AnswerStream:
        """Stream the continuation of a text, without a chat template; control tokens in it are control tokens.

        Raises:
            RequestError: The prompt is empty, contains an image placeholder, or exceeds the model's context.
            StructureError: The JSON schema of `sampling` cannot be followed.
        """
        return self._stream(self.prompts.raw_inputs(prompt), sampling, None, False, True, batcher)

    @cached_property
    def _batcher(self) -> ContinuousBatcher | None:
        """Decodes the answers of this engine; None for models whose answers `generate` decodes."""
        if unable_to_join(self.model):
            return None
        return ContinuousBatcher(self.model, JOINED_ROWS, JOINED_TOKENS, prefix_tokens=0)

    @cached_property
    def _structured_output(self) -> StructuredOutput:
        ends = self.model.generation_config.eos_token_id
        vocab_size = self.model.config.text_config.vocab_size
        return StructuredOutput(self.processor.tokenizer, vocab_size, ends if isinstance(ends, list) else [ends])

    @cached_property
    def _visual_tokens(self) -> VisualTokenCache | None:
        """None for exported models, whose runtime takes pixels."""
        return None if isinstance(self.model, ExportedModel) else VisualTokenCache(self.model)

    def _stream(
        self,
        inputs: Any,
        sampling: Sampling,
        on_end: Callable[[Answer], None] | None,
        image_requested: bool,
        continues_text: bool,
        batcher: ContinuousBatcher | None,
    ) -> AnswerStream:
        check_type("sampling", sampling, Sampling, "a Sampling")
        room = self.prompts.room(inputs["input_ids"].shape[1])
        do_sample = sampling.temperature >= MIN_TEMPERATURE
        settings: dict[str, Any] = {
            "max_new_tokens": min(sampling.max_new_tokens, room),
            "num_beams": 1,
            "do_sample": do_sample,
            # None overrides the sampling settings in the checkpoint's generation_config.
            "temperature": float(sampling.temperature) if do_sample else None,
            "top_k": sampling.top_k if do_sample else None,
            "top_p": float(sampling.top_p) if do_sample else None,
            "min_p": float(sampling.min_p) if do_sample and sampling.min_p else None,
        }
        if sampling.repetition_penalty != 1:
            settings["repetition_penalty"] = float(sampling.repetition_penalty)
        if sampling.json_schema is not None:
            processor = self._structured_output.processor(sampling.json_schema)
            settings["logits_processor"] = LogitsProcessorList([processor])
        return AnswerStream(
            self.model,
            self.processor.tokenizer,
            inputs.to(self.device),
            settings,
            sampling.seed,
            on_end,
            image_requested,
            continues_text=continues_text,
            batcher=batcher or self._batcher,
            visual_tokens=self._visual_tokens,
        )
