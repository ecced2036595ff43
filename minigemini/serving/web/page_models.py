"""The models that can be chosen on the page: loaded when they are first chosen, and kept."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...images.video import VideoSampling
from ...inference import Engine
from ..api_errors import ApiError
from ..chat_pipeline import ChatPipeline
from .page_examples import NO_EXAMPLES, PageExamples

log = logging.getLogger("minigemini.serving")

MOST_ABOUT_CHARS = 300


@dataclass(frozen=True)
class PageModel:
    """A model that answers on the page.

    Args:
        pipeline: answers questions.
        engine: computes attention maps; None if the model runs on a server.
        card: the model card, in Markdown.
        examples: what an empty conversation offers.
    """

    pipeline: ChatPipeline
    engine: Engine | None = None
    card: str = ""
    examples: PageExamples = NO_EXAMPLES

    @property
    def name(self) -> str:
        """The name that users choose it by."""
        return self.pipeline.name

    @property
    def about(self) -> str:
        """What the model knows and does not know: as it declares, else the first paragraph of its card."""
        return self.examples.about or first_paragraph(self.card)

    @property
    def video_sampling(self) -> VideoSampling:
        """Frames that are taken of a video."""
        return VideoSampling() if self.engine is None else self.engine.processor.video_sampling


class PageModels:
    """The models of the page, by name.

    Args:
        default: answers until the user chooses another.
        others: names of other models.
        load: loads one of them; called in a thread, once per name.
        find_more: returns names of further models, such as those of a server that loads and unloads adapters; called in
            a thread whenever the page is opened.
    """

    def __init__(
        self,
        default: PageModel,
        others: Sequence[str] = (),
        load: Callable[[str], PageModel] | None = None,
        find_more: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self.default, self.names = default, tuple(dict.fromkeys([default.name, *others]))
        self._load, self._find_more = load, find_more
        self._loaded = {default.name: default}
        self._lock = asyncio.Lock()

    async def refresh(self) -> tuple[str, ...]:
        """Return all names, with those that can be chosen since the last call."""
        if self._find_more is not None:
            self.names = tuple(dict.fromkeys([self.default.name, *await asyncio.to_thread(self._find_more)]))
        return self.names

    async def get(self, name: str) -> PageModel:
        """Return a model, loaded.

        Raises:
            ApiError: 404 if there is no model of that name, 500 if it cannot be loaded.
        """
        if name not in self.names:
            raise ApiError(404, f"no model {name[:100]!r} on this page; choose one of {', '.join(self.names)}")
        async with self._lock:  # two visitors who choose the same model load it once
            if name not in self._loaded:
                assert self._load is not None
                try:
                    self._loaded[name] = await asyncio.to_thread(self._load, name)
                except Exception as error:  # noqa: BLE001 (users see no paths; the operator sees the reason)
                    log.error(
                        "%s cannot be loaded: %s\n%s", name, error, "".join(traceback.format_tb(error.__traceback__))
                    )
                    raise ApiError(500, f"{name} cannot be loaded; choose another, or see the server's log") from None
            return self._loaded[name]


def read_card(folder: Path) -> str:
    """Return a checkpoint's model card without its YAML front matter."""
    file = folder / "README.md"
    if not file.is_file():
        return ""
    text = file.read_text(encoding="utf-8", errors="replace")
    return text.split("\n---\n", 1)[-1] if text.startswith("---\n") else text


def first_paragraph(markdown: str) -> str:
    """Return the first paragraph that is neither a heading nor a table, list or picture, on one line."""
    for block in markdown.split("\n\n"):
        text = " ".join(block.split())
        if text and text[0] not in "#|-*!<`>":
            return text if len(text) <= MOST_ABOUT_CHARS else text[: MOST_ABOUT_CHARS - 1].rstrip() + "…"
    return ""
