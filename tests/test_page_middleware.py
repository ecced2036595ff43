"""Access control and storage limits of the page, over HTTP. test_page.py runs the page in a browser."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("gradio")

from page_server import running  # noqa: E402

from minigemini.inference import Engine  # noqa: E402
from minigemini.serving.api_errors import ApiError  # noqa: E402
from minigemini.serving.chat_pipeline import ChatPipeline  # noqa: E402
from minigemini.serving.engine_backend import EngineBackend  # noqa: E402
from minigemini.serving.server_settings import ServerSettings  # noqa: E402
from minigemini.serving.web.page_models import PageModel, PageModels  # noqa: E402
from minigemini.serving.web.page_state import Page  # noqa: E402
from minigemini.serving.web.plain_text import from_html, to_html  # noqa: E402
from minigemini.serving.web.uploads import UploadLimits, UploadStore  # noqa: E402

KEY = "a-key-that-nobody-guesses"
UPLOAD = "/gradio_api/upload"
LIMITS = UploadLimits(session_bytes=3000, session_files=3, total_bytes=5000, total_files=6)
SOON = replace(LIMITS, idle_seconds=0.5)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    return Engine.load(tiny_checkpoint, device="cpu")


@pytest.fixture
def serve(engine, folder):
    def page(limits=LIMITS, **settings):
        models = PageModels(PageModel(ChatPipeline(EngineBackend(engine, "tiny"))))
        return running(Page(models, ServerSettings(port=0, drain_seconds=1, **settings), UploadStore(folder, limits)))

    return page


@pytest.fixture
def url(serve) -> Iterator[str]:
    with serve() as address:
        yield address


@contextmanager
def browser(url: str) -> Iterator:
    """Yield a client that has opened the page and has its cookie."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        assert client.get("/").status_code == 200
        yield client


def upload(client, *sizes: int, **how) -> "httpx.Response":
    """Upload files of these sizes with different contents."""
    files = [
        ("files", (f"{n}.png", str(time.monotonic_ns()).encode().ljust(size, b"x"))) for n, size in enumerate(sizes)
    ]
    return client.post(UPLOAD, files=files, **how)


def stored(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_only_localhost_is_accepted(url):
    """DNS rebinding: a foreign host name that resolves to 127.0.0.1 is rejected."""
    port = url.rpartition(":")[2]
    with browser(url) as client:
        for host in (
            "evil.example",
            f"evil.example:{port}",
            "127.0.0.1.evil.example",
            "[::1]evil.example",
            "x@localhost",
        ):
            for path in ("/", "/config", "/gradio_api/info", "/gradio_api/queue/data?session_hash=x", UPLOAD):
                assert client.get(path, headers={"Host": host}).status_code == 403, (host, path)
            assert upload(client, 10, headers={"Host": host}).status_code == 403
        for host in ("localhost", f"LOCALHOST:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
            assert client.get("/", headers={"Host": host}).status_code == 200, host


def test_cross_origin_requests_are_rejected(url, folder):
    port = url.rpartition(":")[2]
    with browser(url) as client:
        for origin in (
            "http://evil.example",
            "null",
            "",
            f"http://127.0.0.1.evil.example:{port}",
            "http://127.0.0.1:1",
            "file://",
        ):
            assert upload(client, 10, headers={"Origin": origin}).status_code == 403, origin
            assert client.get("/config", headers={"Origin": origin}).status_code == 403, origin
            preflight = client.options(UPLOAD, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
            assert preflight.status_code == 403
            assert "access-control-allow-origin" not in preflight.headers
        assert stored(folder) == []
        assert upload(client, 10, headers={"Origin": url}).status_code == 200
        assert len(stored(folder)) == 1


def test_the_content_security_policy_forbids_other_hosts(url):
    with browser(url) as client:
        for path in ("/", "/config", "/theme.css", "/no-such-page"):
            policy = client.get(path).headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert not re.search(r"https?:|\*", policy)
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", client.get("/").text)


def test_a_key_is_required_if_one_is_set(serve, folder):
    with serve(api_keys=(KEY,)) as url, browser(url) as client:
        assert client.get("/", headers={"Host": "chat.example"}).status_code == 200
        assert upload(client, 10).status_code == 401
        assert stored(folder) == []
        assert client.post("/login", data={"username": "minigemini", "password": "wrong"}).status_code == 400
        assert client.post("/login", data={"username": "minigemini", "password": KEY}).status_code == 200
        assert upload(client, 10).status_code == 200
        assert upload(client, 10, headers={"Origin": "http://evil.example"}).status_code == 403


def test_bytes_are_limited_per_session_and_in_total(url, folder):
    with browser(url) as one, browser(url) as other:
        assert upload(one, 1500).status_code == 200
        rejected = upload(one, 1500)
        assert rejected.status_code == 413
        assert "3,000 bytes of images per browser" in rejected.text
        assert upload(other, 1500).status_code == 200
        with browser(url) as third:
            assert "5,000 bytes of images in total" in upload(third, 2000).text
        assert sum(file.stat().st_size for file in stored(folder)) == 3000


def test_files_are_limited_per_session(url, folder):
    with browser(url) as client:
        assert upload(client, 10, 10).status_code == 200
        assert "3 files of images per browser" in upload(client, 10, 10).text
        assert len(stored(folder)) == 2
        assert upload(client, 10).status_code == 200


def test_an_interrupted_upload_leaves_no_file(url, folder):
    def breaking():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + b"x" * 500
        raise ConnectionError

    head = {"Content-Type": "multipart/form-data; boundary=x"}
    with browser(url) as client:
        with pytest.raises(ConnectionError):
            client.post(UPLOAD, content=breaking(), headers={**head, "Content-Length": "1000"})
        assert client.post(UPLOAD, content=iter([b"x"]), headers=head).status_code == 411
        # The reserved 1000 bytes are released when the server notices the interruption.
        wait_for(lambda: upload(client, 2000).status_code == 200)
        assert [file.stat().st_size for file in stored(folder)] == [2000]


def test_files_are_deleted_with_their_session(serve, folder):
    with serve(SOON) as url, browser(url) as client:
        with client.stream("GET", "/gradio_api/heartbeat/a-tab") as tab:
            lines = tab.iter_lines()
            assert next(lines) == "data: ALIVE"
            assert upload(client, 10).status_code == 200
            time.sleep(2 * SOON.idle_seconds)
            assert len(stored(folder)) == 1
        wait_for(lambda: not stored(folder))
        assert upload(client, 10).status_code == 200  # without an open tab
        wait_for(lambda: not stored(folder))


def test_a_file_of_two_sessions_is_kept_until_both_end(folder):
    now = [0.0]
    store = UploadStore(folder, SOON, clock=lambda: now[0])
    file = folder / "same.png"
    file.write_bytes(b"x")
    for session in ("one", "other"):
        with store.tab(session):
            store.add(session, [file])
    with store.tab("other"):
        now[0] += 1
        store.expire()
        assert file.exists()
        assert (store.bytes_of("one"), store.bytes_of()) == (0, 1)
    now[0] += 1
    store.expire()
    assert not file.exists()
    assert store.bytes_of() == 0


def test_generated_images_count_toward_the_limit(folder):
    store = UploadStore(folder, LIMITS)
    store.write("one", b"x" * 2000)
    with pytest.raises(ApiError, match="at most 3,000 bytes"):
        store.write("one", b"x" * 2000)
    assert len(stored(folder)) == 1


def test_uploads_need_the_page_s_cookie(url):
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert upload(client, 10).status_code == 403
        client.cookies.set(f"minigemini-page-{url.rpartition(':')[2]}", "../../etc")
        assert upload(client, 10).status_code == 403


@pytest.mark.parametrize(
    "route",
    [
        "process_recording",
        "component_server",
        "vibe-edit",
        "api/predict",
        "call/v2/predict",
        "stream/x",
        "run-history/connect",
    ],
)
def test_unused_routes_are_closed(url, route):
    with browser(url) as client:
        assert client.post(f"/gradio_api/{route}", json={}).status_code == 404
        assert client.post(f"/gradio_api/{route}/", json={}).status_code == 404
        assert client.get("/gradio_api/deep_link?session_hash=x").status_code == 404
        assert client.put("/config").status_code == 404


@pytest.mark.parametrize(
    "file",
    [
        {"path": "/etc/passwd"},
        {"path": "http://127.0.0.1:1/x.png"},
        {"path": "{folder}/../x.png"},
        {"path": "{folder}/x.png", "url": "http://evil.example/x.png"},
    ],
)
def test_events_can_refer_to_uploads_only(url, folder, file):
    named = {key: value.replace("{folder}", str(folder)) for key, value in file.items()}
    body = {"data": [{"text": "", "files": [{**named, "meta": {"_type": "gradio.FileData"}}]}], "fn_index": 0}
    with browser(url) as client:
        for route in ("run/predict", "queue/join"):
            answer = client.post(f"/gradio_api/{route}", json={**body, "session_hash": "x"})
            assert (answer.status_code, "upload the image" in answer.text) == (400, True)
            assert client.post(f"/gradio_api/{route}/", json={**body, "session_hash": "x"}).status_code == 404


def test_other_files_are_not_served(url, folder):
    (folder.parent / "secret.txt").write_text("secret")
    with browser(url) as client:
        for path in ("/etc/passwd", folder.parent / "secret.txt", f"{folder}/../secret.txt", Path(__file__)):
            assert client.get(f"/gradio_api/file={path}").status_code in (403, 404), path


def test_bodies_are_limited(serve):
    with serve(max_body_bytes=1000) as url, browser(url) as client:
        assert client.post("/gradio_api/run/predict", json={"data": ["x" * 1000]}).status_code == 413
        assert client.post("/gradio_api/run/predict", content=b"{").status_code == 400


@pytest.mark.parametrize(
    "text", ["<img src=http://evil.example/x>", "a < b & c", "&lt;b>", "&amp;lt;", "<", "&", "</h>", "<!--"]
)
def test_escaping_is_invertible(text):
    assert from_html(to_html(text)) == text
    assert not re.search(r"<[a-z/!?]", to_html(text))
