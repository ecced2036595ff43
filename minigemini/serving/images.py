"""/v1/images/generations: pictures from words, by the painter that the server was given."""

import asyncio
import base64
import time
from io import BytesIO

from fastapi import Request
from fastapi.responses import JSONResponse

from ..inference import RequestError
from .errors import ApiError
from .house import House
from .responses import DrawnPicture, ImageResponse
from .schema import ImageRequest, read_request


async def generate_images(request: Request, house: House) -> JSONResponse:
    """Draw `n` pictures, the i-th with seed + i."""
    asked = await asyncio.to_thread(read_request, await request.body(), ImageRequest)
    if house.painter is None:
        raise ApiError(400, "no painter is installed: this server draws nothing", "no_painter")
    data = []
    async with house.gate.slot():
        for index in range(asked.n or 1):
            try:
                data.append(await asyncio.to_thread(_draw, asked, index, house))
            except RequestError as error:
                raise ApiError(400, str(error)) from None
    return JSONResponse(ImageResponse(created=int(time.time()), data=data).model_dump())


def _draw(asked: ImageRequest, index: int, house: House) -> DrawnPicture:
    assert house.painter is not None
    width, _, height = (asked.size or "auto").partition("x")
    size = (int(width), int(height)) if height else None
    seed = None if asked.seed is None else asked.seed + index
    file = BytesIO()
    house.painter.paint(asked.prompt, size_px=size, seed=seed).save(file, "PNG")
    return DrawnPicture(b64_json=base64.b64encode(file.getvalue()).decode())
