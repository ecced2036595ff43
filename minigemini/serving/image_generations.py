"""/v1/images/generations: pictures from words, by the painter that the server was given."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..inference import Drawing, RequestError
from .api_errors import ApiError
from .backends import Drawn, Event
from .protocol import ImageRequest, read_request
from .request_task import Work, Worked
from .responses import DrawnPicture, ImageResponse
from .state import House


async def generate_images(request: Request, house: House) -> Response:
    """Draw `n` pictures, the i-th with seed + i."""
    asked = await asyncio.to_thread(read_request, await request.body(), ImageRequest, house.settings.max_text_chars)
    drawing = check(asked, house)

    async def events() -> AsyncIterator[Event]:
        for index in range(asked.n or 1):
            seed = None if asked.seed is None else asked.seed + index
            yield await house.studio.draw(asked.prompt, Drawing(drawing.size_px, seed=seed), index)

    return DrawnPictures(events, house, param="prompt")


def check(asked: ImageRequest, house: House) -> Drawing:
    """See that what is asked for is drawn here.

    Raises:
        ApiError: it is not.
    """
    if house.painter is None:
        raise ApiError(400, "this server draws nothing; it is started with --painter", "no_painter")
    if asked.model not in (None, house.painter.name, house.backend.name):
        raise ApiError(404, f"the painter here is {house.painter.name}; name it", code="model_not_found", param="model")
    width, _, height = (asked.size or "auto").partition("x")
    size = (int(width), int(height)) if height else None
    if size is not None and size[0] * size[1] > house.settings.max_drawn_pixels:
        most = house.settings.max_drawn_pixels
        raise ApiError(400, f"size {asked.size}: this server draws at most {most:,} pixels", param="size")
    try:
        return Drawing(size)
    except RequestError as error:
        raise ApiError(400, str(error), param="size") from None


class DrawnPictures(Worked):
    """The pictures, together."""

    async def tell(self, work: Work, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them once the last is drawn."""
        files = []
        while (event := await self.next(work)) is not None:
            assert isinstance(event, Drawn)
            files.append(event.png)
        await (await asyncio.to_thread(_response, files))(scope, receive, send)


def _response(files: list[bytes]) -> JSONResponse:
    data = [DrawnPicture(b64_json=base64.b64encode(file).decode()) for file in files]
    return JSONResponse(ImageResponse(created=int(time.time()), data=data).model_dump())
