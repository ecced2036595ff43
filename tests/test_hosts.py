"""Host parsing, and addresses that a server must not connect to."""

import ipaddress

import pytest

from minigemini.inference import RequestError
from minigemini.serving.hosts import Authority, is_base_url, is_local_origin, is_public, names_loopback, parse_authority
from minigemini.serving.middleware import ApiKeys
from minigemini.serving.server_settings import ServerSettings

LOCAL = ["localhost", "LOCALHOST", "LocalHost:8000", "localhost.", "localhost.:80", "127.0.0.1", "127.0.0.1:8000",
         "127.8.9.1", "[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"]  # fmt: skip
# fmt: off
FOREIGN = [
    "", " ", "evil.example", "[127.0.0.1].evil.com", "[::1]evil.com", "[::1].evil.com", "localhost:80@evil",
    "localhost@evil", "evil@localhost", "localhost:x", "localhost:99999", "localhost:80:80", "localhost:-1",
    "[127.0.0.1]", "[::1", "::1]", "::1", "[]", "[::1]]", "[[::1]]", "localhost..", ".localhost", "localhost/",
    "localhost\\evil", "localhost#", "localhost?", "localhost%2eevil", "local host", "localhost\t", "\x00localhost",
     "localhost,evil", "evil.localhost", "localhost.evil", "127.0.0.1.evil", "127.1", "2130706433", "0x7f000001",
    "0177.0.0.1", "0.0.0.0", "[::]", "[fe80::1%lo]", "128.0.0.1", "\uff4cocalhost", "localho\u017ft",
    "[::ffff:8.8.8.8]",
]
# fmt: on


@pytest.mark.parametrize("host", LOCAL)
def test_loopback_names_are_recognized(host):
    assert names_loopback(host)
    assert is_local_origin(f"http://{host}")


@pytest.mark.parametrize("host", FOREIGN)
def test_other_names_are_not_loopback(host):
    assert not names_loopback(host)
    assert not is_local_origin(f"http://{host}")


def test_other_origins_are_not_local():
    for origin in ("null", "", "localhost", "file://localhost", "http:localhost", "http://localhost/", "https://evil"):
        assert not is_local_origin(origin)


def test_authorities_are_normalized():
    assert parse_authority("Example.COM.:443") == Authority("example.com", 443)
    assert parse_authority("[2001:DB8:0::1]") == Authority("2001:db8::1")
    assert parse_authority("a" * 254) is None


def test_base_urls():
    for url in ("http://10.0.0.5:8001/v1", "https://vllm.example/v1", "http://[::1]:8000/v1"):
        assert is_base_url(url)
    for url in (
        "http://[::1/v1",
        "http://user:pass@host/v1",
        "ftp://host/v1",
        "http:///v1",
        "http://h/v1?x",
        "http://h/\n",
    ):
        assert not is_base_url(url)


# The registries' entries, mostly the first and last address of each, and addresses with an embedded IPv4 address.
# fmt: off
SPECIAL = [
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
    "127.255.255.255", "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.9",
    "192.0.0.10", "192.0.0.170", "192.0.0.255", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1",
    "192.168.0.0", "192.168.255.255", "192.175.48.1", "198.18.0.0", "198.19.255.255", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1",
    "::8.8.8.8", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::c0a8:101",
    "64:ff9b:1::808:808", "64:ff9b:1:ffff::1", "100::1", "100:0:0:1::1", "2001::1", "2001:0:5ef5:79fd::1",
    "2001:1::1", "2001:2::1", "2001:3::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1",
    "2001:1ff:ffff::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "2002:c0a8:101::1", "2620:4f:8000::1",
    "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "fc00::1", "fdff::1", "fe80::1", "febf::1", "fec0::1",
    "feff::1", "ff02::1", "ff0e::1",
]
ORDINARY = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "93.184.215.14", "100.63.255.255", "100.128.0.1",
    "172.15.255.255", "172.32.0.1", "192.0.1.1", "192.88.98.255", "192.167.1.1", "198.17.255.255", "198.20.0.1",
    "223.255.255.255", "2606:4700:4700::1111", "2001:200::1", "2001:4860:4860::8888", "2a00:1450::1", "3ffe::1",
    "64:ff9b::808:808",
]
# fmt: on


@pytest.mark.parametrize("address", SPECIAL)
def test_special_purpose_addresses_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ORDINARY)
def test_ordinary_addresses_are_public(address):
    assert is_public(ipaddress.ip_address(address))


def test_listen_and_image_hosts_are_validated():
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "::1", "[::1]"):
        ServerSettings(host=host)
    for host in ("[127.0.0.1].evil.com", "0.0.0.0", "::", "[::1", "evil.localhost", "[127.0.0.1"):
        with pytest.raises(RequestError, match="--api-key"):
            ServerSettings(host=host)
    ServerSettings(image_hosts=("images.example.com", "2606:4700::1"))
    for host in ("https://images.example.com", "images.example.com:443", "Images.example.com", "", "a@b"):
        with pytest.raises(RequestError, match="is not a host name"):
            ServerSettings(image_hosts=(host,))


def test_keys_are_compared_as_bytes():
    keys = ApiKeys(["a-key-that-nobody-guesses", "clé-très-secrète-où", "\udcff-not-utf-8-either"])
    assert keys.match(b"a-key-that-nobody-guesses")
    assert keys.match(" clé-très-secrète-où ".encode())
    assert keys.match(b"\xff-not-utf-8-either")
    for wrong in (b"", b"a-key-that-nobody-guesse", "clé-très-secrète-où".encode("latin-1"), b"\xff" * 1000):
        assert not keys.match(wrong)
    assert not ApiKeys([])
