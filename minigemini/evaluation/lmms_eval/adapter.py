"""Mini-Gemini as a model of lmms-eval: `lmms-eval --model minigemini --model_args pretrained=mgm-7b --tasks …`.

Chat tasks go to `Chat`; `--force_simple` takes `Simple`, which tasks of log-likelihoods need. Both answer through
`evaluation.local`, as `minigemini eval` does: batched, greedily, each picture of a batch seen once.
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
from ...modeling.messages import with_requests
from ..http_backend import HttpAnswerer, Service
from ..input_preparation import Preparation
from ..local_backend import LocalAnswerer, features
from ..runner import Answerer, Batch, Failure, planned
from ..task import ImageInput, Message, Question

MOST_ROUNDS = 64
MAX_NEW_TOKENS = 256
"""Where a task does not say."""


@dataclass(frozen=True, eq=False)
class Held:
    """A picture that the suite has opened."""

    image: Image.Image

    def __call__(self) -> Image.Image:
        return self.image.convert("RGB")


class _Adapter(lmms):
    """What all three share: requests to questions, and answers in the requests' order."""

    answerer: Answerer

    def __init__(self, answerer: Answerer, batch_size: int | str, ocr_field: str | None) -> None:
        super().__init__()
        self.answerer, self.ocr_field = answerer, ocr_field
        self.batch_size_per_gpu = int(batch_size)

    @property
    def device(self) -> torch.device:
        return self.answerer.engine.device if isinstance(self.answerer, LocalAnswerer) else torch.device("cpu")

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """One turn each."""
        questions = [self._question(number, *self._asked(request)) for number, request in enumerate(requests)]
        settings = [_settings(request) for request in requests]
        return self._answer(questions, settings)

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[list[str]]:
        """Rounds that the task makes of what was said, each asked with all that went before; batched by round."""
        said: list[list[str]] = [[] for _ in requests]
        talks: list[list[Message]] = [[] for _ in requests]
        told: list[Any] = [None] * len(requests)
        open_ones = list(range(len(requests)))
        for number in range(MOST_ROUNDS):
            for at in list(open_ones):
                messages, done, _, told[at] = self._round(requests[at], number, said[at], told[at])
                if done:
                    open_ones.remove(at)
                else:
                    talks[at] += messages
            if not open_ones:
                return said
            questions = [Question(str(at), tuple(talks[at]), "") for at in open_ones]
            answers = self._answer(questions, [_settings(requests[at]) for at in open_ones])
            for at, answer in zip(open_ones, answers, strict=True):
                said[at].append(answer)
                talks[at].append({"role": "assistant", "content": answer})
        raise RequestError(f"a task asks more than {MOST_ROUNDS} rounds; it does not end")

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """The mean loss of each continuation (the suite takes the least), and whether greedy decoding says it."""
        if not isinstance(self.answerer, LocalAnswerer):
            raise RequestError("a served model gives no log-likelihoods; use --model minigemini")
        return [self._loss(self.answerer, request) for request in tqdm(requests, desc="log-likelihoods")]

    @torch.inference_mode()
    def _loss(self, local: LocalAnswerer, request: Instance) -> tuple[float, bool]:
        context, target, to_visual, doc_id, task, split = request.args
        doc = self.task_dict[task][split][doc_id]
        continuation = target if isinstance(target, str) else target(doc)
        question = self._question(0, _turn(context, to_visual(doc) if to_visual else []), doc)
        inputs, issues = Preparation(local.engine.processor, local.context_tokens, share=False)[Batch("", (question,))]
        if inputs is None:
            raise RequestError(f"{task}, document {doc_id}: {issues[question.id].reason}")
        processor = local.engine.processor
        said = processor.control_tokens().as_text(str(continuation))
        added = processor.tokenizer(said, add_special_tokens=False, return_tensors="pt")["input_ids"]
        ids = torch.cat([inputs.text.input_ids, added], dim=1).to(local.engine.device)
        outputs = local.engine.model(
            input_ids=ids, **features(local.seen(inputs), inputs.shown), logits_to_keep=added.shape[1] + 1
        )
        logits = outputs.logits[0, :-1].float().cpu()
        loss = torch.nn.functional.cross_entropy(logits, added[0])
        return float(loss), bool((logits.argmax(-1) == added[0]).all())

    def _answer(self, questions: Sequence[Question], settings: Sequence[int]) -> list[str]:
        """Raises `RequestError` naming the sample that has no answer: an empty one would be scored as wrong."""
        answers: dict[str, str] = {}
        keys = {question.id: question.id for question in questions}
        with tqdm(total=len(questions), desc=self.answerer.name, unit="question") as bar:
            for most in dict.fromkeys(settings):
                alike = [question for question, its in zip(questions, settings, strict=True) if its == most]
                for batch, said in self.answerer.answers(planned(alike, keys, self.batch_size_per_gpu), most):
                    for name, answer in said.items():
                        if isinstance(answer, Failure):
                            raise RequestError(f"request {name} cannot be answered: {answer.reason}")
                        answers[name] = answer
                    bar.update(len(batch.questions))
        return [answers[question.id] for question in questions]

    def _asked(self, request: Instance) -> tuple[Sequence[Message], Mapping[str, Any]]:
        """Messages and document of a request, of either kind of task."""
        if callable(request.args[1]):
            _, to_messages, _, doc_id, task, split = request.args
            doc = self.task_dict[task][split][doc_id]
            return _messages(to_messages(doc)), doc
        context, _, to_visual, doc_id, task, split = request.args
        doc = self.task_dict[task][split][doc_id]
        return _turn(context, (to_visual(doc) or []) if to_visual else []), doc

    def _round(self, request: Instance, number: int, said: list[str], told: Any) -> Any:
        """The next round as the task makes it: messages (None at the end), whether that was all, and its notes."""
        doc_id, task, split = request.args[-3:]
        doc = self.task_dict[task][split][doc_id]
        made = request.args[1](doc, round_idx=number, previous_output=said, previous_round_info=told)
        if not (isinstance(made, tuple) and len(made) == 4):  # a task of one round says no more than its messages
            made = (made, number > 0, said, None)
        messages, done, *rest = made
        return (None if done else _messages(messages)), done, *rest

    def _question(self, number: int, messages: Sequence[Message], doc: Mapping[str, Any]) -> Question:
        strings = doc.get(self.ocr_field) if self.ocr_field else None
        if strings:
            messages = with_requests(messages, False, [str(one) for one in strings])
        return Question(str(number), tuple(messages), "")


class Chat(_Adapter):
    """A checkpoint, asked by chat messages.

    Args:
        pretrained: as `Engine.load` takes it.
        batch_size: questions asked together.
        workers: processes that prepare pictures.
        ocr_field: of a document, holds strings read from its pictures, which are passed on.
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
    """The same for tasks of text and pictures, log-likelihoods among them."""

    is_simple = True


class ServedChat(_Adapter):
    """A model behind an OpenAI-compatible address.

    Args:
        base_url: e.g. `http://127.0.0.1:8000/v1`.
        model: as the server calls it; by itself the only one there.
    """

    is_simple = False

    def __init__(
        self, base_url: str, model: str | None = None, batch_size: int | str = 8, ocr_field: str | None = None, **_: Any
    ) -> None:
        super().__init__(HttpAnswerer(Service(base_url, model)), batch_size, ocr_field)


def _settings(request: Instance) -> int:
    """The longest answer; `until` is passed over, for a chat turn ends by itself. Raises `RequestError` for drawing."""
    given = request.args[2] if callable(request.args[1]) else request.args[1]
    if given.get("do_sample") and given.get("temperature", 1) > 0:
        raise RequestError(f"task {request.args[-2]} draws its answers; this adapter answers greedily")
    return int(given.get("max_new_tokens") or MAX_NEW_TOKENS)


def _turn(text: str, visuals: Iterable[Any]) -> list[Message]:
    parts: Iterator[dict[str, Any]] = ({"type": "image", "image": _image(visual)} for visual in visuals)
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text.replace("<image>", "").strip()}]}]


def _messages(messages: Sequence[Any]) -> list[Message]:
    """The suite's chat messages, pictures as ours. Raises `RequestError` for sound and film."""
    return [{"role": m["role"], "content": [_part(part) for part in m["content"]]} for m in messages]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    if part["type"] == "image":
        return {"type": "image", "image": _image(part["url"])}
    raise RequestError(f"a task shows {part['type']}; Mini-Gemini reads pictures")


def _image(visual: Any) -> ImageInput:
    if isinstance(visual, Image.Image):
        return Held(visual)
    if isinstance(visual, str):
        return Path(visual)
    raise RequestError(f"a task shows a {type(visual).__name__}; Mini-Gemini reads pictures")
