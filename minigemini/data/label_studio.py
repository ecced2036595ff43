"""Converts a task of Label Studio's JSON export to a record with `image` and messages.

    {"id": 1, "data": {"image": "/data/upload/1/cat.jpg", "question": "What is it?"},
     "annotations": [{"result": [{"from_name": "answer", "type": "textarea", "value": {"text": ["A cat."]}}]}]}

Text areas, choices, ratings and numbers are answers: to the question of the task's data if there is one answer, else
each to the name of its control. Regions (boxes, polygons, brushes) are refused. Format: labelstud.io/guide/task_format.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from . import media_keys
from .schema import SampleError, SampleIssue

QUESTIONS = ("question", "prompt", "query")
"""Keys of a task's data that hold a question."""
_VALUES = {"textarea": "text", "choices": "choices", "rating": "rating", "number": "number"}
"""Key of the value of each type of result."""
_UPLOADS, _LOCAL_FILES = "/data/upload/", "/data/local-files/"


def flatten(task: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a task.

    Uploaded images are named relative to Label Studio's folder `media/upload`, local files to its document root.

    Raises:
        SampleError: The task has no finished annotation, no image, or results that are not text.
    """
    answers = _answers(task)
    data = task["data"]
    question = next((str(data[key]) for key in QUESTIONS if isinstance(data.get(key), str) and data[key]), None)
    turns = []
    for name, answer in answers.items():
        asked = question if question and len(answers) == 1 else _question_of(name)
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    image = _image(data)
    return {"id": task.get("id"), "prompt": turns[:-1], "completion": turns[-1:], **({"image": image} if image else {})}


def _answers(task: Mapping[str, Any]) -> dict[str, str]:
    """The answers of a task's annotation by control; the ground truth if one is marked, else the first."""
    listed = task["annotations"] if isinstance(task["annotations"], list) else []
    finished = [
        one for one in listed if isinstance(one, Mapping) and not one.get("was_cancelled") and one.get("result")
    ]
    if not finished:
        raise SampleError(SampleIssue.EMPTY_ANSWER, "a Label Studio task without a finished annotation: label it first")
    chosen = next((one for one in finished if one.get("ground_truth")), finished[0])
    results = chosen["result"] if isinstance(chosen["result"], list) else []
    answers: dict[str, str] = {}
    for result in results:
        kind = result.get("type") if isinstance(result, Mapping) else None
        value = result.get("value") if isinstance(result, Mapping) else None
        if kind not in _VALUES or not isinstance(value, Mapping) or _VALUES[kind] not in value:
            raise SampleError(
                SampleIssue.MALFORMED, f"a Label Studio result of type {kind!r}: expected {', '.join(_VALUES)}"
            )
        texts = value[_VALUES[kind]]
        texts = texts if isinstance(texts, list) else [texts]
        name = str(result.get("from_name"))
        answers[name] = "\n".join(filter(None, (answers.get(name), ", ".join(map(str, texts)))))
    return answers


def _question_of(control: str) -> str:
    if control in ("caption", "captions", "description"):
        return "Describe the image."
    return f"What is the {control.replace('_', ' ').replace('-', ' ')}?"


def _image(data: Mapping[str, Any]) -> Any:
    keys = [key for key in media_keys.IMAGE_KEYS if data.get(key)]
    keys = keys or [key for key, value in data.items() if isinstance(value, str) and media_keys.names_media(value)]
    if len(keys) > 1:
        raise SampleError(SampleIssue.MALFORMED, f"{' and '.join(keys)} name images: keep one of them")
    found = data[keys[0]] if keys else None
    return [_path(one) for one in found] if isinstance(found, list) else _path(found)


def _path(reference: Any) -> Any:
    """The path of an uploaded or local file; other references stay as they are, and URLs are refused later."""
    if not isinstance(reference, str):
        return reference
    if reference.startswith(_LOCAL_FILES):
        return next(iter(parse_qs(urlsplit(reference).query).get("d", [])), reference)
    return unquote(reference.removeprefix(_UPLOADS)) if reference.startswith(_UPLOADS) else reference
