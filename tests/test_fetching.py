"""Pictures from hosts: only those named, only public addresses, and what was checked is what is connected to."""

import asyncio
import ipaddress

import httpx
import pytest

from minigemini.serving.api_errors import ApiError
from minigemini.serving.hosts import is_public
from minigemini.serving.image_urls import Fetcher
from minigemini.serving.server_settings import ServerSettings

PUBLIC = "93.184.215.14"
HOST = "pictures.example"


def fetch(
    url, addresses=(PUBLIC,), answer=lambda request: httpx.Response(200, stream=httpx.ByteStream(b"PNG")), **settings
):
    """The bytes, and the requests that went out."""
    sent, asked = [], []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answer(request)

    async def resolve(host: str) -> list[str]:
        asked.append(host)
        return list(addresses)

    fetcher = Fetcher(ServerSettings(image_hosts=(HOST,), **settings), resolve, httpx.MockTransport(handle))
    return asyncio.run(fetcher.fetch(url, "picture 1")), sent, asked


def test_the_address_that_was_checked_is_connected_to():
    data, (request,), asked = fetch(f"https://{HOST}/a.png?x=1")
    assert data == b"PNG"
    assert (request.url.host, request.url.path, request.headers["host"]) == (PUBLIC, "/a.png", HOST)
    assert request.extensions["sni_hostname"] == HOST  # the certificate is checked against the name
    assert asked == [HOST]  # one lookup: a second could give another address


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
        "ftp://pictures.example/a.png",
        "file:///etc/passwd",
        "//pictures.example/a.png",
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
        "https://\uff50ictures.example/a.png",
    ],
)
def test_other_addresses_are_refused_before_anything_goes_out(url):
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
def test_addresses_that_are_not_public_are_refused(address):
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(ApiError, match="public network"):
        fetch(f"https://{HOST}/a.png", (PUBLIC, address), lambda _: pytest.fail("sent"))


def test_public_addresses_are_public():
    assert is_public(ipaddress.ip_address(PUBLIC))
    assert is_public(ipaddress.ip_address("2606:4700:4700::1111"))


def test_a_redirect_is_checked_as_if_it_were_asked_for():
    to = {"/a": f"https://{HOST}/b", "/b": "/c", "/evil": "https://evil.example/x", "/down": f"http://{HOST}/b"}

    def answer(request: httpx.Request) -> httpx.Response:
        where = "/a" if request.url.path == "/loop" else to.get(request.url.path)
        return (
            httpx.Response(302, headers={"location": where})
            if where
            else httpx.Response(200, stream=httpx.ByteStream(b"PNG"))
        )

    data, sent, asked = fetch(f"https://{HOST}/a", answer=answer)
    assert (data, len(sent), len(asked)) == (b"PNG", 3, 3)
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
def test_whatever_goes_wrong_is_the_client_s_to_mend(error):
    def fail(_):
        raise error

    with pytest.raises(ApiError, match="cannot be fetched") as caught:
        fetch(f"https://{HOST}/a", answer=fail)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "to", ["http://[", "https://[::1", "//[", "https://" + "a" * 70_000, "\x80\xff", "https://x:y"]
)
def test_a_redirect_to_what_is_no_address(to):
    with pytest.raises(ApiError) as caught:
        fetch(f"https://{HOST}/a", answer=lambda _: httpx.Response(302, headers={"location": to.encode("latin-1")}))
    assert caught.value.status == 400


def test_a_host_may_be_written_in_capitals_and_with_its_dot():
    data, (request,), asked = fetch(f"https://{HOST.upper()}.:443/A.png")
    assert (data, request.url.path, request.headers["host"], asked) == (b"PNG", "/A.png", HOST, [HOST])


def test_what_comes_is_bounded():
    from minigemini.images.safe_images import ImageLimits

    small = {"pictures": ImageLimits(max_bytes=100)}
    with pytest.raises(ApiError, match="more than 100 bytes"):
        fetch(f"https://{HOST}/a", answer=lambda _: httpx.Response(200, stream=httpx.ByteStream(b"x" * 101)), **small)
    with pytest.raises(ApiError, match="answers 200"):  # compressed, it could be a bomb
        fetch(f"https://{HOST}/a", answer=lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}))
    with pytest.raises(ApiError, match="answers 404"):
        fetch(f"https://{HOST}/a", answer=lambda _: httpx.Response(404))
