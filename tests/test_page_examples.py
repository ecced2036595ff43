"""What an empty page offers: examples that a checkpoint folder declares."""

import json
from pathlib import Path

import pytest

from minigemini.io.errors import CheckpointError

pytest.importorskip("gradio")

from minigemini.serving.chat_pipeline import ChatPipeline
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.web.page import build_page
from minigemini.serving.web.page_examples import NO_EXAMPLES, PageExample, PageExamples, read_examples
from minigemini.serving.web.page_models import PageModel, PageModels
from minigemini.serving.web.page_state import Page
from minigemini.serving.web.uploads import UploadStore

SIGN = Path(__file__).parent.parent / "examples" / "sign.png"
DECLARED = {"about": "Knows signs.", "examples": [{"image": "pictures/sign.png", "question": "What does it say?"}]}


def declare(folder: Path, content: object) -> Path:
    (folder / "pictures").mkdir(exist_ok=True)
    (folder / "pictures/sign.png").write_bytes(SIGN.read_bytes())
    (folder / "examples.json").write_text(json.dumps(content))
    return folder


def test_a_folder_declares_examples(tmp_path):
    assert read_examples(tmp_path) == NO_EXAMPLES
    found = read_examples(declare(tmp_path, DECLARED))
    assert found == PageExamples("Knows signs.", (PageExample(tmp_path / "pictures/sign.png", "What does it say?"),))
    copied = found.copied_to(tmp_path / "page")
    assert copied.examples[0].image == tmp_path / "page/1.png"
    assert copied.examples[0].image.read_bytes() == SIGN.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        {"examples": {}},
        {"examples": DECLARED["examples"] * 9},
        {"examples": ["sign.png"]},
        {"examples": [{"image": "pictures/sign.png"}]},
        {"examples": [{"image": "pictures/sign.png", "question": "x" * 301}]},
        {"examples": [{"image": "../outside.png", "question": "What?"}]},
        {"examples": [{"image": "link.png", "question": "What?"}]},
        {"examples": [{"image": "examples.json", "question": "What?"}]},
        {"examples": [{"image": "long.png", "question": "What?"}]},
        {"about": "\x1b[31m"},
        {"about": ["x"]},
        [],
    ],
)
def test_mistakes_are_one_line(content, tmp_path):
    (tmp_path / "outside.png").write_bytes(SIGN.read_bytes())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "long.png").write_bytes(bytes(5 * 2**20))
    with pytest.raises(CheckpointError, match=r"examples\.json") as caught:
        read_examples(declare(folder, content))
    assert "\n" not in str(caught.value)


def test_the_page_shows_them_as_text(tiny_checkpoint, tmp_path, monkeypatch):
    from minigemini.inference import Engine

    engine = Engine.load(tiny_checkpoint, device="cpu")
    about, store = "Knows <b>signs</b>.", UploadStore(tmp_path / "page")
    store.folder.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(store.folder))  # as `minigemini web` does
    examples = read_examples(declare(tmp_path, {**DECLARED, "about": about}))
    page = Page(
        PageModels(PageModel(ChatPipeline(EngineBackend(engine, "tiny")), examples=examples)), ServerSettings(), store
    )
    blocks = list(build_page(page).blocks.values())
    (chat,) = [block for block in blocks if block.get_block_name() == "chatbot"]
    assert [block.value for block in blocks if block.elem_id == "about"] == ["<p>Knows &lt;b&gt;signs&lt;/b&gt;.</p>"]
    assert chat.placeholder.startswith("Try one of these, or add images")
    ((file,),) = [example["files"] for example in chat.examples]
    assert file["path"].startswith(str(store.folder)), "an event may name only files of the page"
