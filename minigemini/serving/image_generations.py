"""/v1/images/generations: generate images from a prompt with the server's image generator."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ..inference import GenerationSettings, RequestError
from .api_errors import ApiError, model_not_found
from .backends import Event, ImageEvent
from .json_body import read_request
from .protocol import ImageData, ImageRequest, ImageResponse, error_responses, request_body
from .request_queue import RequestTask, TaskResponse
from .state import ServerState


def add_routes(app: FastAPI, state: ServerState) -> None:
    """Add the route to the application."""

    @app.post(
        "/v1/images/generations",
        response_model=ImageResponse,
        responses=error_responses(),
        openapi_extra=request_body(ImageRequest),
    )
    async def images_generations(request: Request) -> ImageTaskResponse:
        """Generate images; image i uses seed + i."""
        body = await request.body()
        image_request = await asyncio.to_thread(read_request, body, ImageRequest, state.settings.max_text_chars)
        settings = check_request(image_request, state)

        async def events() -> AsyncIterator[Event]:
            for index in range(image_request.n or 1):
                seed = None if image_request.seed is None else image_request.seed + index
                yield await state.pipeline.draw(
                    image_request.prompt, GenerationSettings(settings.size_px, seed=seed), index
                )

        return ImageTaskResponse(events, state, param="prompt")


def check_request(request: ImageRequest, state: ServerState) -> GenerationSettings:
    """Check a request against the server's limits and return the settings that it asks for, without a seed.

    Raises:
        ApiError: 404 for another model, 400 for anything else.
    """
    if state.image_generator is None:
        raise ApiError(400, "this server has no image generator; start it with --generator", "no_image_generator")
    if request.model not in (None, state.image_generator.name, state.backend.name):
        raise model_not_found(str(request.model), state.image_generator.name)
    width, _, height = (request.size or "auto").partition("x")
    size = (int(width), int(height)) if height else None
    max_pixels = state.settings.max_drawn_pixels
    if size is not None and size[0] * size[1] > max_pixels:
        message = (
            f"size {request.size}: {size[0] * size[1]:,} pixels; this server generates at most {max_pixels:,} pixels"
        )
        raise ApiError(400, message, param="size")
    try:
        return GenerationSettings(size)
    except RequestError as error:
        raise ApiError(400, str(error), param="size") from None


class ImageTaskResponse(TaskResponse):
    """Sends all images of a request as one JSON document."""

    async def send_events(self, task: RequestTask, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the images when the last one is complete."""
        files = []
        while (event := await self.next_event(task)) is not None:
            assert isinstance(event, ImageEvent)
            files.append(event.png)
        await (await asyncio.to_thread(_json_response, files))(scope, receive, send)


def _json_response(files: list[bytes]) -> JSONResponse:
    data = [ImageData(b64_json=base64.b64encode(file).decode()) for file in files]
    return JSONResponse(ImageResponse(created=int(time.time()), data=data).model_dump())
