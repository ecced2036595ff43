"""Fuzz the server by its OpenAPI document: neither valid nor invalid requests may cause a server error."""

import json
import os
from dataclasses import replace

import httpx
import pytest
import schemathesis
from api_server import KEY, data_uri, serving, user
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from malformed_images import BROKEN, malformed
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from tiny_pipelines import save_pipeline

from minigemini.images.safe_images import ImageLimits
from minigemini.inference import Engine, ImageGenerator
from minigemini.inference.ocr import RapidOcrEngine
from minigemini.serving.app import build_app
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState

EXAMPLES = int(os.environ.get("EXAMPLES", "15"))
OPERATIONS = [
    ("/v1/chat/completions", "POST"),
    ("/v1/responses", "POST"),
    ("/v1/completions", "POST"),
    ("/api/chat", "POST"),
    ("/api/tags", "GET"),
    ("/v1/images/generations", "POST"),
    ("/v1/models", "GET"),
    ("/v1/models/{model}", "GET"),
    ("/health", "GET"),
    ("/metrics", "GET"),
]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def state(tiny_checkpoint, tmp_path_factory) -> ServerState:
    settings = ServerSettings(
        api_keys=(KEY,), max_new_tokens=8, max_drawn_pixels=2**14, images=ImageLimits(max_bytes=2**20)
    )
    folder = save_pipeline("StableDiffusionPipeline", tmp_path_factory.mktemp("generators") / "tiny-generator")
    generator = ImageGenerator.load(folder, device="cpu")
    generator.preset = replace(generator.preset, steps=1, native_px=32)
    return ServerState(
        settings, EngineBackend(Engine.load(tiny_checkpoint, device="cpu"), "tiny"), generator, RapidOcrEngine()
    )


@pytest.fixture(scope="module")
def running(state):
    with serving(state) as served:
        yield served


@pytest.fixture(scope="module")
def document(state, running):
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(build_app(state).openapi())))
    schema.config.update(base_url=running.url)
    return schema


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_causes_a_server_error(document, path, method, mode):
    @given(case=document[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(case) -> None:
        if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body["model"] = "tiny"  # otherwise nearly all requests fail with an unknown model
        case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS, timeout=120)

    try:
        check()
    except Unsatisfiable:
        assert (method, mode) == ("GET", GenerationMode.NEGATIVE)  # it has no field that could be invalid


def test_every_operation_is_fuzzed(document):
    fuzzed = {(path, method) for path in document for method in document[path]}
    assert {(path, method.lower()) for path, method in fuzzed} == {
        (path, method.lower()) for path, method in OPERATIONS
    }


@pytest.mark.parametrize(("kind", "certainty", "data"), list(malformed(40, seed=1)))
def test_malformed_images_are_rejected(running, kind, certainty, data):
    body = {"model": "tiny", "messages": [user("What is it?", data_uri(data))], "max_tokens": 1}
    answer = httpx.post(
        f"{running.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=60
    )
    assert answer.status_code == 400 or (answer.status_code == 200 and certainty != BROKEN)
