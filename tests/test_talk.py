"""What the page hands to a backend, and what it keeps of votes. In a browser it is driven by test_page.py."""

import asyncio
import json
import stat
from itertools import pairwise
from pathlib import Path

import pytest

from minigemini.inference import Conversation, Engine, Sampling
from minigemini.serving.errors import ApiError
from minigemini.serving.local import LocalBackend
from minigemini.serving.settings import ServerSettings
from minigemini.serving.web.talk import job_of, said
from minigemini.serving.web.votes import Vote, Votes

SHORT = Sampling(max_new_tokens=12)


def test_a_conversation_on_the_page_is_one_of_the_engine_s(tiny_checkpoint, picture, tmp_path):
    engine = Engine.load(tiny_checkpoint, device="cpu")
    files = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, file in enumerate(files):
        picture(seed).save(file)
    talk = Conversation(engine, files[:2])
    first = talk.ask("What?", SHORT).text
    talk.add_picture(files[2])
    second = talk.ask("And now?", SHORT).text

    def shown(file) -> dict:
        return {"role": "user", "content": [{"type": "file", "file": {"path": str(file)}}]}

    history = [
        shown(files[0]),
        shown(files[1]),
        {"role": "user", "content": [{"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": first}]},
    ]

    async def answer(message, history) -> list[str]:
        backend = LocalBackend(engine, "tiny")
        return [text async for text in said(backend, job_of(message, history, SHORT, ServerSettings(), tmp_path))]

    texts = asyncio.run(answer({"text": "And now?", "files": [str(files[2])]}, history))
    assert texts[-1] == second
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    # Asked again, and edited, as Gradio hands it over.
    again = {"text": "And now?", "files": [{"path": str(files[2])}]}
    assert asyncio.run(answer(again, history))[-1] == second
    assert asyncio.run(answer("And now?", [*history, shown(files[2])]))[-1] == second


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ApiError, match="picture 1"):
        job_of({"text": "x", "files": [str(tmp_path / "a.png")]}, [], SHORT, ServerSettings(), tmp_path)


def test_only_what_was_uploaded_is_read(tmp_path):
    sign = Path(__file__).parent.parent / "examples" / "sign.png"
    (tmp_path / "link.png").symlink_to(sign)
    for path in (sign, tmp_path / "link.png", tmp_path / ".." / "x.png"):
        with pytest.raises(ApiError, match="not here any more"):
            job_of({"text": "x", "files": [{"path": str(path)}]}, [], SHORT, ServerSettings(), tmp_path)


def test_votes_are_kept_of_who_agrees(tmp_path):
    file = tmp_path / "votes.jsonl"
    votes = Votes(file)
    vote = Vote("nano", "What?", "A ball\n", liked=True)
    assert not votes.keep(vote, agreed=False)
    assert not file.exists()
    assert votes.keep(vote, agreed=True)
    assert votes.keep(vote, agreed=True)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [set(line) for line in lines] == [{"time", "model", "question", "answer", "liked"}] * 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
