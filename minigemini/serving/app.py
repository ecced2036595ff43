"""The application: its routes, and the document that describes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .api_errors import ApiError
from .chat_completions import chat
from .image_generations import generate_images
from .middleware import RequestMiddleware
from .protocol import ChatRequest, ImageRequest, Strict
from .responses import ChatResponse, ErrorEnvelope, Health, ImageResponse, ModelCard, ModelList
from .state import ServerState

REFERENCE = "#/components/schemas/{model}"

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorEnvelope, "description": text}
    for status, text in {
        400: "The request is wrong; `param` says where.",
        401: "No valid key.",
        403: "Not from this machine, and no key is set.",
        404: "No such model or route.",
        408: "The body took too long.",
        413: "The body is too large.",
        415: "The body is not application/json.",
        429: "Too many wait; Retry-After says when to come again.",
        500: "A fault of the server.",
        502: "A backend failed.",
        503: "No backend can be reached.",
    }.items()
}


def build_app(state: ServerState) -> FastAPI:
    """The ASGI application of a server."""
    app = FastAPI(
        title="Mini-Gemini",
        description="OpenAI's API over a Mini-Gemini model.",
        lifespan=_lifespan(state),
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    _add_routes(app, state)
    _describe_bodies(app)
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(HTTPException, _refused_by_framework)
    app.add_middleware(
        RequestMiddleware,
        settings=state.settings,
        queue=state.queue,
        metrics=state.metrics,
        routes=lambda: {str(getattr(route, "path", "")) for route in app.routes},
    )
    return app


def _add_routes(app: FastAPI, state: ServerState) -> None:
    @app.post(
        "/v1/chat/completions", response_model=ChatResponse, responses=_stream_too(), openapi_extra=_body(ChatRequest)
    )
    async def chat_completions(request: Request) -> Response:
        """Answer a conversation about pictures."""
        return await chat(request, state)

    @app.post(
        "/v1/images/generations", response_model=ImageResponse, responses=REFUSALS, openapi_extra=_body(ImageRequest)
    )
    async def images_generations(request: Request) -> Response:
        """Draw pictures."""
        return await generate_images(request, state)

    card = ModelCard(
        id=state.backend.name,
        created=state.created,
        draw=state.image_generator is not None,
        ocr=state.reader is not None,
    )

    @app.get("/v1/models", responses=_of(401, 403))
    async def models() -> ModelList:
        """The model that is served."""
        return ModelList(data=[card])

    @app.get("/v1/models/{model:path}", responses=_of(401, 403, 404))
    async def model(model: str) -> ModelCard:
        """The model by its name."""
        if model != card.id:
            raise ApiError(404, f"the model here is {card.id}; name it", code="model_not_found", param="model")
        return card

    @app.get("/health", responses={503: {"model": Health, "description": "No backend can be reached."}})
    async def health() -> JSONResponse:
        """Whether requests are answered."""
        ready = await state.backend.is_ready()
        return JSONResponse({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)

    @app.get("/metrics", responses={**_of(401, 403), 200: {"content": {"text/plain": {}}}}, response_class=Response)
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _lifespan(state: ServerState) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        left = tuple(state.tasks)  # only what outlived the time for draining
        for task in left:
            task.stop()
        await asyncio.gather(*(task.task for task in left), return_exceptions=True)
        await state.pipeline.close()

    return lifespan


def _of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: REFUSALS[status] for status in statuses}


def _stream_too() -> dict[int | str, dict[str, Any]]:
    told = (
        "The answer, whole or streamed. With `draw`, deltas before the end of a choice have `images` and `drawing`, as "
        "the message of a whole answer has."
    )
    return {**REFUSALS, 200: {"description": told, "content": {"text/event-stream": {}}}}


def _body(kind: type[Strict]) -> dict[str, Any]:
    """The document's entry for a body that the route reads itself: its parser bounds depth, and runs in a thread."""
    schema = {"$ref": REFERENCE.format(model=kind.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _describe_bodies(app: FastAPI) -> None:
    """Add to the document what the entries of `_body` refer to."""
    framework_s = app.openapi
    bodies = models_json_schema([(ChatRequest, "validation"), (ImageRequest, "validation")], ref_template=REFERENCE)[1]

    def openapi() -> dict[str, Any]:
        document = framework_s()
        document["components"]["schemas"] |= bodies["$defs"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


async def _refused(_: Request, error: Any) -> Response:
    return error.response()


async def _refused_by_framework(_: Request, error: Any) -> Response:
    message = {404: "no such route", 405: "no such method here"}.get(error.status_code, "not understood")
    return ApiError(error.status_code, message, headers=error.headers).response()
