"""/v1/images/generations: pictures from words, by the painter that the server was given."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..inference import GenerationSettings, RequestError
from .api_errors import ApiError
from .backends import Event, ImageEvent
from .protocol import ImageRequest, read_request
from .request_task import RequestTask, TaskResponse
from .responses import ImageData, ImageResponse
from .state import ServerState


async def generate_images(request: Request, state: ServerState) -> Response:
    """Draw `n` pictures, the i-th with seed + i."""
    asked = await asyncio.to_thread(read_request, await request.body(), ImageRequest, state.settings.max_text_chars)
    drawing = check(asked, state)

    async def events() -> AsyncIterator[Event]:
        for index in range(asked.n or 1):
            seed = None if asked.seed is None else asked.seed + index
            yield await state.pipeline.draw(asked.prompt, GenerationSettings(drawing.size_px, seed=seed), index)

    return GeneratedImages(events, state, param="prompt")


def check(asked: ImageRequest, state: ServerState) -> GenerationSettings:
    """See that what is asked for is drawn here.

    Raises:
        ApiError: it is not.
    """
    if state.image_generator is None:
        raise ApiError(400, "this server draws nothing; it is started with --painter", "no_painter")
    if asked.model not in (None, state.image_generator.name, state.backend.name):
        raise ApiError(
            404, f"the painter here is {state.image_generator.name}; name it", code="model_not_found", param="model"
        )
    width, _, height = (asked.size or "auto").partition("x")
    size = (int(width), int(height)) if height else None
    if size is not None and size[0] * size[1] > state.settings.max_drawn_pixels:
        most = state.settings.max_drawn_pixels
        raise ApiError(400, f"size {asked.size}: this server draws at most {most:,} pixels", param="size")
    try:
        return GenerationSettings(size)
    except RequestError as error:
        raise ApiError(400, str(error), param="size") from None


class GeneratedImages(TaskResponse):
    """The pictures, together."""

    async def tell(self, task: RequestTask, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them once the last is drawn."""
        files = []
        while (event := await self.next(task)) is not None:
            assert isinstance(event, ImageEvent)
            files.append(event.png)
        await (await asyncio.to_thread(_response, files))(scope, receive, send)


def _response(files: list[bytes]) -> JSONResponse:
    data = [ImageData(b64_json=base64.b64encode(file).decode()) for file in files]
    return JSONResponse(ImageResponse(created=int(time.time()), data=data).model_dump())
