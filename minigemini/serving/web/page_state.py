"""What the events of the page share: its parts, the browser's session, and messages for the user."""

import logging
import traceback
from dataclasses import dataclass
from functools import cached_property

import gradio as gr

from ...inference import RequestError
from ..api_errors import ApiError, internal_error
from ..request_queue import RequestQueue
from ..server_settings import ServerSettings
from .feedback import FeedbackLog
from .page_middleware import session_of
from .page_models import PageModels
from .uploads import UploadStore

log = logging.getLogger("minigemini.serving")


@dataclass(frozen=True)
class Page:
    """The parts of the page.

    Args:
        models: the models that answer questions.
        settings: address and limits.
        uploads: the files of all sessions.
        votes: stores votes; None hides the vote buttons.
    """

    models: PageModels
    settings: ServerSettings
    uploads: UploadStore
    votes: FeedbackLog | None = None

    @cached_property
    def queue(self) -> RequestQueue:
        """The queue in which questions wait."""
        return RequestQueue(self.settings.concurrency, self.settings.queue)


def session_of_request(request: gr.Request) -> str:
    """Return the browser's session.

    Raises:
        ApiError: 403 if the request has no session cookie.
    """
    http_request = request.request
    session = None if http_request is None else session_of(http_request.headers.get("cookie", ""), http_request.scope)
    if session is None:
        raise ApiError(403, "the page needs its cookie; open it in a browser with cookies enabled")
    return session


def user_message(error: Exception) -> str:
    """Return the message for the user; log an internal error without its message, which may contain the question."""
    if isinstance(error, RequestError | ApiError):
        return str(error)
    log.error("%s on the page\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return internal_error().message
