"""Fetching images: only from allowed hosts and public addresses, and only from the address that was checked."""

import asyncio
import ipaddress

import httpx
import pytest

from minigemini.serving.api_errors import ApiError
from minigemini.serving.hosts import is_public
from minigemini.serving.image_urls import ImageFetcher
from minigemini.serving.server_settings import ServerSettings

PUBLIC = "93.184.215.14"
HOST = "images.example"


def fetch(
    url, addresses=(PUBLIC,), answer=lambda request: httpx.Response(200, stream=httpx.ByteStream(b"PNG")), **settings
):
    """Return the bytes, the HTTP requests, and the resolved hosts."""
    sent, resolved = [], []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answer(request)

    async def resolve(host: str) -> list[str]:
        resolved.append(host)
        return list(addresses)

    fetcher = ImageFetcher(ServerSettings(image_hosts=(HOST,), **settings), resolve, httpx.MockTransport(handle))
    return asyncio.run(fetcher.fetch(url, "image 1")), sent, resolved


def test_the_checked_address_is_the_one_that_is_used():
    data, (request,), resolved = fetch(f"https://{HOST}/a.png?x=1")
    assert data == b"PNG"
    assert (request.url.host, request.url.path, request.headers["host"]) == (PUBLIC, "/a.png", HOST)
    assert request.extensions["sni_hostname"] == HOST  # the certificate is checked against the name
    assert resolved == [HOST]  # one lookup: a second one could return another address


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}/a.png",
        f"https://{HOST}:8443/a.png",
        f"https://user@{HOST}/a.png",
        f"https://evil.example@{HOST}/a.png",
        f"https://{HOST}.evil.example/a.png",
        f"https://sub.{HOST}/a.png",
        "https://127.0.0.1/a.png",
        "https://2130706433/a.png",
        "https://[::1]/a.png",
        f"https://evil.example\\@{HOST}/a.png",
        f"https://{HOST}\r\nX: y/a.png",
        f"https://{HOST}:x/a.png",
        "ftp://images.example/a.png",
        "file:///etc/passwd",
        "//images.example/a.png",
        f"https://{HOST}:443@evil.example/a.png",
        f"https://{HOST}:99999/a.png",
        f"https://[{HOST}]/a.png",
        f"https://[{HOST}].evil.example/a.png",
        f"https://[::1]{HOST}/a.png",
        f"https://{HOST}%2eevil.example/a.png",
        "https://[::1/a.png",
        "https:///a.png",
        f"https://{HOST}/{'a' * 70_000}",
        f"https://{HOST}/?{'a' * 9_000}",
        "https://\uff49mages.example/a.png",
    ],
)
def test_other_urls_are_rejected_before_any_request(url):
    with pytest.raises(ApiError) as caught:
        fetch(url, answer=lambda _: pytest.fail("sent"))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "2002:7f00:1::", "64:ff9b::7f00:1", "2001:0:5ef5:79fd::1",
    ],
)  # fmt: skip
def test_non_public_addresses_are_rejected(address):
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(ApiError, match="public network"):
        fetch(f"https://{HOST}/a.png", (PUBLIC, address), lambda _: pytest.fail("sent"))


def test_public_addresses_are_public():
    assert is_public(ipaddress.ip_address(PUBLIC))
    assert is_public(ipaddress.ip_address("2606:4700:4700::1111"))


def test_redirects_pass_the_same_checks():
    to = {"/a": f"https://{HOST}/b", "/b": "/c", "/evil": "https://evil.example/x", "/down": f"http://{HOST}/b"}

    def answer(request: httpx.Request) -> httpx.Response:
        where = "/a" if request.url.path == "/loop" else to.get(request.url.path)
        return (
            httpx.Response(302, headers={"location": where})
            if where
            else httpx.Response(200, stream=httpx.ByteStream(b"PNG"))
        )

    data, sent, resolved = fetch(f"https://{HOST}/a", answer=answer)
    assert (data, len(sent), len(resolved)) == (b"PNG", 3, 3)
    for path in ("evil", "down"):
        with pytest.raises(ApiError):
            fetch(f"https://{HOST}/{path}", answer=answer)
    with pytest.raises(ApiError, match="redirected more than"):
        fetch(f"https://{HOST}/a", answer=lambda _: httpx.Response(302, headers={"location": "/a"}))


@pytest.mark.parametrize(
    "error",
    [
        httpx.InvalidURL("URL component 'path' too long"),
        httpx.StreamClosed(),
        httpx.RemoteProtocolError("odd"),
        httpx.ConnectError("no"),
        UnicodeError("label too long"),
        OSError("no route"),
    ],
)
def test_fetch_failures_are_client_errors(error):
    def fail(_):
        raise error

    with pytest.raises(ApiError, match="cannot be fetched") as caught:
        fetch(f"https://{HOST}/a", answer=fail)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "to", ["http://[", "https://[::1", "//[", "https://" + "a" * 70_000, "\x80\xff", "https://x:y"]
)
def test_a_redirect_to_an_invalid_url_is_rejected(to):
    with pytest.raises(ApiError) as caught:
        fetch(f"https://{HOST}/a", answer=lambda _: httpx.Response(302, headers={"location": to.encode("latin-1")}))
    assert caught.value.status == 400


def test_host_names_are_normalized():
    data, (request,), resolved = fetch(f"https://{HOST.upper()}.:443/A.png")
    assert (data, request.url.path, request.headers["host"], resolved) == (b"PNG", "/A.png", HOST, [HOST])


def test_responses_are_limited():
    from minigemini.images.safe_images import ImageLimits

    small = {"images": ImageLimits(max_bytes=100)}
    with pytest.raises(ApiError, match="more than 100 bytes"):
        fetch(f"https://{HOST}/a", answer=lambda _: httpx.Response(200, stream=httpx.ByteStream(b"x" * 101)), **small)
    with pytest.raises(ApiError, match="compressed with gzip"):  # compressed, it could be a bomb
        fetch(f"https://{HOST}/a", answer=lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}))
    with pytest.raises(ApiError, match="answered 404"):
        fetch(f"https://{HOST}/a", answer=lambda _: httpx.Response(404))
