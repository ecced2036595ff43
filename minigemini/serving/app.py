"""The ASGI application: routes, lifespan and the OpenAPI document."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from . import chat_completions, completions, image_generations, ollama, responses
from .api_errors import ApiError, model_not_found
from .completions import CompletionRequest
from .middleware import RequestMiddleware
from .ollama import OllamaChatRequest
from .protocol import SCHEMA_REF, ChatRequest, Health, ImageRequest, ModelCard, ModelList, error_responses
from .responses_protocol import ResponsesRequest
from .state import ServerState


def build_app(state: ServerState) -> FastAPI:
    """Build the ASGI application of a server."""
    app = FastAPI(
        title="Mini-Gemini",
        description="OpenAI's API over a Mini-Gemini model.",
        lifespan=_lifespan(state),
        docs_url=None,  # the built-in docs page loads scripts from a CDN
        redoc_url=None,
    )
    for routes in (chat_completions, responses, completions, image_generations, ollama):
        routes.add_routes(app, state)
    _add_model_routes(app, state)
    _add_operational_routes(app, state)
    _add_request_schemas(app)
    app.add_exception_handler(ApiError, _api_error_response)
    app.add_exception_handler(HTTPException, _http_error_response)
    app.add_middleware(
        RequestMiddleware,
        settings=state.settings,
        queue=state.queue,
        metrics=state.metrics,
        routes=lambda: {str(getattr(route, "path", "")) for route in app.routes},
    )
    if state.settings.allowed_origins:
        # Outermost: preflights carry no key, and browsers show errors to a page only with these headers.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=state.settings.allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["Retry-After"],
        )
    return app


def _add_model_routes(app: FastAPI, state: ServerState) -> None:
    card = ModelCard(
        id=state.backend.name,
        created=state.created,
        draw=state.image_generator is not None,
        ocr=state.ocr_engine is not None,
        ocr_by_default=state.pipeline.ocr_by_default,
    )

    @app.get("/v1/models", responses=error_responses(401, 403))
    async def models() -> ModelList:
        """List the served model."""
        return ModelList(data=[card])

    @app.get("/v1/models/{model:path}", responses=error_responses(401, 403, 404))
    async def model(model: str) -> ModelCard:
        """Retrieve the served model by name."""
        if model != card.id:
            raise model_not_found(model, card.id)
        return card


def _add_operational_routes(app: FastAPI, state: ServerState) -> None:
    @app.get("/health", responses={503: {"model": Health, "description": "No backend is reachable."}})
    async def health() -> JSONResponse:
        """Report whether the backend is ready."""
        ready = await state.backend.is_ready()
        return JSONResponse({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)

    @app.get(
        "/metrics",
        responses={**error_responses(401, 403), 200: {"content": {"text/plain": {}}}},
        response_class=Response,
    )
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _lifespan(state: ServerState) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        unfinished = tuple(state.tasks)  # requests that outlived the drain period
        for task in unfinished:
            task.stop()
        await asyncio.gather(*(task.task for task in unfinished), return_exceptions=True)
        await state.pipeline.close()

    return lifespan


def _add_request_schemas(app: FastAPI) -> None:
    """Add the schemas that the `request_body` entries of the routes refer to."""
    build_document = app.openapi
    requests = (ChatRequest, ResponsesRequest, CompletionRequest, ImageRequest, OllamaChatRequest)
    bodies = models_json_schema([(request, "validation") for request in requests], ref_template=SCHEMA_REF)[1]

    def openapi() -> dict[str, Any]:
        document = build_document()
        document["components"]["schemas"] |= bodies["$defs"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


async def _api_error_response(_: Request, error: Any) -> Response:
    return error.response()


async def _http_error_response(_: Request, error: Any) -> Response:
    message = {404: "no such route", 405: "method not allowed"}.get(error.status_code, "invalid request")
    return ApiError(error.status_code, message, headers=error.headers).response()
