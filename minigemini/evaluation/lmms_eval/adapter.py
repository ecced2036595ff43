"""Mini-Gemini as a model of lmms-eval: `lmms-eval --model minigemini --model_args pretrained=mgm-7b --tasks …`.

Chat tasks use `Chat`; `--force_simple` selects `Simple`, which log-likelihood tasks need. Both answer with
`local_backend`, as `minigemini eval` does: batched and greedy, each image of a batch encoded once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from PIL import Image
from tqdm import tqdm

from ...inference.engine import Engine
from ...io.errors import RequestError
from ...io.openai_client import ChatClient
from ...modeling.messages import with_requests
from ..http_backend import HttpAnswerer
from ..local_backend import InputPreparer, LocalAnswerer, image_features_of
from ..runner import Answerer, Batch, Failure, plan_batches
from ..task import ImageInput, Message, Question

MAX_ROUNDS = 64
MAX_NEW_TOKENS = 256
"""Default for tasks that set no limit."""


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """An image that lmms-eval has opened."""

    image: Image.Image

    def __call__(self) -> Image.Image:
        return self.image.convert("RGB")


class _Adapter(lmms):
    """Common base of the models: converts requests to questions, and returns answers in request order."""

    answerer: Answerer

    def __init__(self, answerer: Answerer, batch_size: int | str, ocr_field: str | None) -> None:
        super().__init__()
        self.answerer, self.ocr_field = answerer, ocr_field
        self.batch_size_per_gpu = int(batch_size)

    @property
    def device(self) -> torch.device:
        return self.answerer.engine.device if isinstance(self.answerer, LocalAnswerer) else torch.device("cpu")

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Answer single-turn requests."""
        questions = [
            self._question(number, *self._messages_and_doc(request)) for number, request in enumerate(requests)
        ]
        settings = [_max_new_tokens(request) for request in requests]
        return self._answer(questions, settings)

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[list[str]]:
        """Answer multi-round requests: the task builds each round from earlier answers; rounds are batched."""
        answers: list[list[str]] = [[] for _ in requests]
        histories: list[list[Message]] = [[] for _ in requests]
        round_info: list[Any] = [None] * len(requests)
        pending = list(range(len(requests)))
        for number in range(MAX_ROUNDS):
            for index in list(pending):
                messages, done, _, round_info[index] = self._round(
                    requests[index], number, answers[index], round_info[index]
                )
                if done:
                    pending.remove(index)
                else:
                    histories[index] += messages
            if not pending:
                return answers
            questions = [Question(str(index), tuple(histories[index]), "") for index in pending]
            replies = self._answer(questions, [_max_new_tokens(requests[index]) for index in pending])
            for index, answer in zip(pending, replies, strict=True):
                answers[index].append(answer)
                histories[index].append({"role": "assistant", "content": answer})
        raise RequestError(f"a task did not finish within {MAX_ROUNDS} rounds")

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Mean loss of each continuation (lmms-eval takes the smallest), and whether greedy decoding produces it."""
        if not isinstance(self.answerer, LocalAnswerer):
            raise RequestError("log-likelihoods are not available from a served model; use --model minigemini")
        return [self._loss(self.answerer, request) for request in tqdm(requests, desc="log-likelihoods")]

    @torch.inference_mode()
    def _loss(self, local: LocalAnswerer, request: Instance) -> tuple[float, bool]:
        context, target, to_visual, doc_id, task, split = request.args
        doc = self.task_dict[task][split][doc_id]
        continuation = target if isinstance(target, str) else target(doc)
        question = self._question(0, _turn(context, to_visual(doc) if to_visual else []), doc)
        preparer = InputPreparer(local.engine.processor, local.context_tokens, share=False)
        inputs, issues = preparer[Batch("", (question,))]
        if inputs is None:
            raise RequestError(f"{task}, document {doc_id}: {issues[question.id].reason}")
        processor = local.engine.processor
        text = processor.control_tokens().as_text(str(continuation))
        added = processor.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        ids = torch.cat([inputs.text.input_ids, added], dim=1).to(local.engine.device)
        outputs = local.engine.model(
            input_ids=ids,
            **image_features_of(local.visual_tokens(inputs), inputs.shown),
            logits_to_keep=added.shape[1] + 1,
        )
        logits = outputs.logits[0, :-1].float().cpu()
        loss = torch.nn.functional.cross_entropy(logits, added[0])
        return float(loss), bool((logits.argmax(-1) == added[0]).all())

    def _answer(self, questions: Sequence[Question], settings: Sequence[int]) -> list[str]:
        """Answers in order. Raises `RequestError` for a failed request, because an empty answer would be scored."""
        answers: dict[str, str] = {}
        keys = {question.id: question.id for question in questions}
        with tqdm(total=len(questions), desc=self.answerer.name, unit="question") as bar:
            for max_new_tokens in dict.fromkeys(settings):
                group = [q for q, limit in zip(questions, settings, strict=True) if limit == max_new_tokens]
                batches = plan_batches(group, keys, self.batch_size_per_gpu)
                for batch, replies in self.answerer.answers(batches, max_new_tokens):
                    for name, answer in replies.items():
                        if isinstance(answer, Failure):
                            raise RequestError(f"request {name} failed: {answer.reason}")
                        answers[name] = answer
                    bar.update(len(batch.questions))
        return [answers[question.id] for question in questions]

    def _messages_and_doc(self, request: Instance) -> tuple[Sequence[Message], Mapping[str, Any]]:
        """Messages and document of a request of a chat task or a simple task."""
        if callable(request.args[1]):
            _, to_messages, _, doc_id, task, split = request.args
            doc = self.task_dict[task][split][doc_id]
            return _messages(to_messages(doc)), doc
        context, _, to_visual, doc_id, task, split = request.args
        doc = self.task_dict[task][split][doc_id]
        return _turn(context, (to_visual(doc) or []) if to_visual else []), doc

    def _round(self, request: Instance, number: int, answers: list[str], round_info: Any) -> Any:
        """The next round of a task: messages (None at the end), whether it is finished, answers, and round info."""
        doc_id, task, split = request.args[-3:]
        doc = self.task_dict[task][split][doc_id]
        result = request.args[1](doc, round_idx=number, previous_output=answers, previous_round_info=round_info)
        if not (isinstance(result, tuple) and len(result) == 4):  # a single-round task returns only messages
            result = (result, number > 0, answers, None)
        messages, done, *rest = result
        return (None if done else _messages(messages)), done, *rest

    def _question(self, number: int, messages: Sequence[Message], doc: Mapping[str, Any]) -> Question:
        strings = doc.get(self.ocr_field) if self.ocr_field else None
        if strings:
            messages = with_requests(messages, False, [str(text) for text in strings])
        return Question(str(number), tuple(messages), "")


class Chat(_Adapter):
    """A checkpoint for chat tasks.

    Args:
        pretrained: a model as for `Engine.load`.
        batch_size: questions per batch.
        workers: processes that prepare images.
        ocr_field: field of a document with OCR strings to add to the prompt.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str = "nano",
        batch_size: int | str = 16,
        workers: int | str = 1,
        device: str | None = None,
        dtype: str | None = None,
        quantize: str | None = None,
        base: str | None = None,
        ocr_field: str | None = None,
        **_: Any,
    ) -> None:
        engine = Engine.load(pretrained, device, dtype, quantize=quantize, base=base)
        super().__init__(LocalAnswerer(engine, int(workers), quantize, base), batch_size, ocr_field)


class Simple(Chat):
    """A checkpoint for simple tasks, including log-likelihoods."""

    is_simple = True


class ServedChat(_Adapter):
    """A model behind an OpenAI-compatible endpoint.

    Args:
        base_url: e.g. `http://127.0.0.1:8000/v1`.
        model: the server's name for the model; None uses the only model that it serves.
        batch_size: concurrent requests.
        ocr_field: field of a document with OCR strings to add to the prompt.
    """

    is_simple = False

    def __init__(
        self, base_url: str, model: str | None = None, batch_size: int | str = 8, ocr_field: str | None = None, **_: Any
    ) -> None:
        super().__init__(HttpAnswerer(ChatClient(base_url, model)), batch_size, ocr_field)


def _max_new_tokens(request: Instance) -> int:
    """The token limit; `until` is ignored, because a chat turn ends by itself. Raises `RequestError` for sampling."""
    given = request.args[2] if callable(request.args[1]) else request.args[1]
    if given.get("do_sample") and given.get("temperature", 1) > 0:
        raise RequestError(f"task {request.args[-2]} asks for sampling, but this adapter decodes greedily")
    return int(given.get("max_new_tokens") or MAX_NEW_TOKENS)


def _turn(text: str, visuals: Iterable[Any]) -> list[Message]:
    parts: Iterator[dict[str, Any]] = ({"type": "image", "image": _image(visual)} for visual in visuals)
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text.replace("<image>", "").strip()}]}]


def _messages(messages: Sequence[Any]) -> list[Message]:
    """Convert lmms-eval's chat messages. Raises `RequestError` for audio and video."""
    return [{"role": m["role"], "content": [_part(part) for part in m["content"]]} for m in messages]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    if part["type"] == "image":
        return {"type": "image", "image": _image(part["url"])}
    raise RequestError(f"unsupported content {part['type']!r}; Mini-Gemini reads images and text")


def _image(visual: Any) -> ImageInput:
    if isinstance(visual, Image.Image):
        return OpenedImage(visual)
    if isinstance(visual, str):
        return Path(visual)
    raise RequestError(f"unsupported image type {type(visual).__name__}; expected a PIL image or a path")
