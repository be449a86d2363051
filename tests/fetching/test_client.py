"""What is told to whom, what is shown of an address, and what each kind of failure says."""

from __future__ import annotations

import base64
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from requests import adapters
from requests.exceptions import InvalidSchema
from urllib3.util.retry import Retry

from gpt2_sampler.fetching.address import below, origin
from gpt2_sampler.fetching.client import Client, Network
from gpt2_sampler.fetching.trouble import SourceError, Trouble
from tests.misbehaving_server import Answer, MisbehavingServer, dripping, redirect, status

QUICK = Network(timeout=0.5, retry=Retry(total=3, backoff_factor=0.001))
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*PROXIES, *CERTIFICATES, "NO_PROXY", "no_proxy", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[MisbehavingServer]:
    with MisbehavingServer(served) as running:
        yield running


@pytest.fixture
def other(served: Path) -> Iterator[MisbehavingServer]:
    with MisbehavingServer(served) as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(
    served: Path, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MisbehavingServer]:
    """A server whose certificate is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "trusted.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "trusted.pem"))
    with MisbehavingServer(served, tls=context) as running:
        yield running


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def fails(url: str, network: Network = QUICK) -> SourceError:
    """The error of a request for the address."""
    with pytest.raises(SourceError) as caught:
        Client(network).probe(url)
    assert "\n" not in str(caught.value)
    return caught.value


def get(url: str, network: Network = QUICK) -> bytes:
    client = Client(network)
    client.probe(url)
    with client.get(url) as response:
        return response.content


# Addresses.


def test_no_message_has_a_password_or_a_signature(served: Path, tmp_path: Path) -> None:
    (served / "own").mkdir()
    faults = [
        status(404),
        status(403),
        status(503),
        status(200, b"<html>", "text/html"),
        redirect("http://n:secret@127.0.0.1:1/x?sig=secret"),
        redirect("ftp://n:secret@host/x?sig=secret"),
        redirect("http://[secret"),
        redirect("http://127.0.0.1:1/" + "x" * 10 + "?sig=secret"),
    ]
    for fault in faults:
        with MisbehavingServer(served) as server:
            server.misbehave("", fault, methods="GET HEAD")
            told: list[str] = []
            client = Client(QUICK, told.append)
            address = server.url.replace("//", "//name:secret@") + "/own/file?sig=secret"
            with pytest.raises(SourceError) as caught:
                client.probe(address)
            assert "secret" not in str(caught.value) + "".join(told)


# Who asks.


def test_a_query_and_a_name_in_the_address_reach_the_server(server: MisbehavingServer) -> None:
    base = server.url.replace("//", "//name:pass%20word@") + "/?sig=a%2Fb"
    assert get(below(base, "file")) == b"content"
    assert set(server.queries) == {"sig=a%2Fb"}
    assert set(server.signed) == {basic("name", "pass word")}


def netrc(tmp_path: Path, host: str) -> None:
    (tmp_path / "home" / ".netrc").write_text(f"{host} login n password p\n")


@pytest.mark.parametrize("host", ["machine 127.0.0.1", "default"])
def test_netrc_comes_last(server: MisbehavingServer, tmp_path: Path, host: str) -> None:
    netrc(tmp_path, host)
    get(f"{server.url}/file")
    assert set(server.signed) == {basic("n", "p")}
    server.signed.clear()
    get(server.url.replace("//", "//name:pass@") + "/file")
    assert set(server.signed) == {basic("name", "pass")}
    server.signed.clear()
    get(f"{server.url}/file", Network(tokens={origin(server.url): "token"}))
    assert set(server.signed) == {"Bearer token"}


@pytest.mark.parametrize("who", ["token", "address", "netrc"])
def test_where_a_redirect_leads_nothing_is_told_of_who_asks(
    server: MisbehavingServer, other: MisbehavingServer, tmp_path: Path, who: str
) -> None:
    server.misbehave("file", redirect(f"{other.url}/file"), methods="GET HEAD")
    url, tokens = f"{server.url}/file", {}
    if who == "token":
        tokens = {origin(server.url): "token"}
    elif who == "address":
        url = url.replace("//", "//name:pass@")
    netrc(tmp_path, "default")
    assert get(url, Network(tokens=tokens)) == b"content"
    assert None not in server.signed
    assert set(other.signed) == {None}


def test_on_the_same_server_a_redirect_keeps_who_asks(server: MisbehavingServer) -> None:
    for target in ("/file", f"{server.url}/file"):
        server.misbehave("moved", redirect(target), methods="GET HEAD")
        get(server.url.replace("//", "//name:pass@") + "/moved")
        assert set(server.signed) == {basic("name", "pass")}
        server.faults.clear()


# https.


def test_https_is_not_left(secure: MisbehavingServer, other: MisbehavingServer) -> None:
    secure.misbehave("file", redirect(f"{other.url}/file"), methods="GET HEAD")
    assert "redirects from https to http://127" in str(fails(f"{secure.url}/file"))
    assert other.requests == []


def test_http_may_lead_to_https(secure: MisbehavingServer, other: MisbehavingServer) -> None:
    other.misbehave("file", redirect(f"{secure.url}/file"), methods="GET HEAD")
    assert get(f"{other.url}/file") == b"content"


@pytest.mark.parametrize("times", [1, 3])
def test_a_broken_handshake_is_tried_again(secure: MisbehavingServer, times: int) -> None:
    secure.broken_handshakes = times
    assert get(f"{secure.url}/file") == b"content"


def test_handshakes_that_always_break_are_named(secure: MisbehavingServer) -> None:
    secure.broken_handshakes = 1000
    error = fails(f"{secure.url}/file")
    assert "failed 4 times: the TLS handshake broke" in str(error)
    assert error.trouble is Trouble.UNREACHABLE


def test_a_server_without_tls_is_named(server: MisbehavingServer) -> None:
    error = fails(server.url.replace("http", "https") + "/file")
    assert "the TLS handshake broke (WRONG_VERSION_NUMBER" in str(error) or "RECORD" in str(error)


def at_once(url: str) -> SourceError:
    """The error, which is not waited for."""
    client = Client(Network(timeout=5, retry=Retry(total=5, backoff_factor=30)))
    began = time.monotonic()
    with pytest.raises(SourceError) as caught:
        client.probe(url)
    assert time.monotonic() - began < 40  # the second try would come later
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_certificate_that_is_not_trusted_is_final(
    secure: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    error = at_once(f"{secure.url}/file")
    assert "certificate is not trusted" in str(error) and "REQUESTS_CA_BUNDLE" in str(error)
    assert error.trouble is Trouble.SETUP


@pytest.mark.parametrize("content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nx"])
@pytest.mark.parametrize("variable", CERTIFICATES)
def test_certificates_that_cannot_be_read_are_no_full_disk(
    secure: MisbehavingServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    content: str | None,
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    bundle = tmp_path / "bundle.pem"
    monkeypatch.setenv(variable, str(bundle))
    if content is not None:
        bundle.write_text(content)
    error = at_once(f"{secure.url}/file")
    assert f"the certificates in {bundle} cannot be read; {variable} names" in str(error)


# Proxies.


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("code", "says"), [(407, "HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"), (403, "403 Forbidden")]
)
def test_a_proxy_that_refuses_is_final_and_says_its_number(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch, scheme: str, code: int, says: str
) -> None:
    server.misbehave("", status(code), methods="GET HEAD")
    server.connect_status = code
    monkeypatch.setenv(f"{scheme}_proxy", server.url.replace("//", "//name:secret@"))
    error = at_once(f"{scheme}://host.invalid/file")
    assert str(code) in str(error) and says in str(error)
    assert "secret" not in str(error)
    assert ("the proxy http://***@127.0.0.1" in str(error)) == (scheme == "https" or code == 407)
    assert len(server.proxied) <= 2


def test_a_proxy_that_is_busy_is_asked_again(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.connect_status = 503
    monkeypatch.setenv("https_proxy", server.url)
    error = fails("https://host.invalid/file")
    assert f"failed 4 times: the proxy {server.url}: it answers 503 Service" in str(error)


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("socks5://name:secret@127.0.0.1:1", "pip install pysocks"),
        ("socks5h://name:secret@127.0.0.1:1", "pip install pysocks"),
        ("ftp://name:secret@127.0.0.1:1", "not the address of a proxy"),
        ("http://name:secret@:1", "not the address of a proxy"),
    ],
)
@pytest.mark.parametrize("variable", ["https_proxy", "all_proxy"])
def test_a_proxy_that_cannot_be_is_named_with_what_helps(
    monkeypatch: pytest.MonkeyPatch, proxy: str, says: str, variable: str
) -> None:
    def missing(*_: object, **__: object) -> None:  # what requests does without PySocks
        raise InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr(adapters, "SOCKSProxyManager", missing)
    monkeypatch.setenv(variable, proxy)
    error = at_once("https://host.invalid/file")
    assert says in str(error)
    assert "secret" not in str(error)


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://name:secret@127.0.0.1:1")
    error = fails("https://host.invalid/file")
    assert "the proxy http://***@127.0.0.1:1: the connection is refused" in str(error)


# Servers that say too much.


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://\xff\xfe/", "http://a..b/", "ftp://host/", "http://h:x/"]
)
def test_a_redirect_to_what_is_no_address_is_one_line(
    server: MisbehavingServer, location: str
) -> None:
    server.misbehave("file", redirect(location), methods="GET HEAD")
    at_once(f"{server.url}/file")


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "-5", "1e3", "0x10", ""])
def test_a_length_that_cannot_be_is_none(server: MisbehavingServer, length: str) -> None:
    def lie(answer: Answer) -> None:
        answer.headers["Content-Length"] = length

    server.misbehave("file", lie, methods="HEAD")
    assert Client(QUICK).probe(f"{server.url}/file").length is None


def test_a_redirect_with_an_endless_body_is_followed(server: MisbehavingServer) -> None:
    def long_way(answer: Answer) -> None:
        answer.status, answer.body = 302, bytes(1 << 24)
        answer.headers = {"Location": "/file"}
        dripping(1, 0.5)(answer)  # months

    server.misbehave("moved", long_way, methods="GET HEAD")
    began = time.monotonic()
    get(f"{server.url}/moved")
    assert time.monotonic() - began < 60


# The command, as it is typed.


def test_a_download_error_says_the_one_remedy_that_fits(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    script = Path(__file__).resolve().parents[2] / "download_model.py"
    address = server.url.replace("//", "//name:secret@") + "?sig=secret"
    words = ["own", "--models_dir", str(tmp_path), "--base_url", address]
    for code, fits in [(404, "is not a released model"), (403, "may need a name and a password")]:
        server.faults.clear()
        server.misbehave("", status(code), methods="GET HEAD")
        done = subprocess.run(
            [sys.executable, str(script), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert fits in done.stderr and str(code) in done.stderr
        assert "HTTPS_PROXY" not in done.stderr and "secret" not in done.stderr
