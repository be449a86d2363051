"""Who may call the server: by its name, its own pages, with its key; and what is there."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from gpt2_sampler.serving.guard import hosts_of
from gpt2_sampler.serving.page import POLICY
from tests.serving.running import Running, running

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"prompt": "Once", "max_tokens": 2})


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(key="s3cret", origins=frozenset({"http://allowed.example", "null"})) as found:
        yield found


KEYED = {**JSON, "Authorization": "Bearer s3cret"}


def post(server: Running, content: str | bytes = BODY, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {**KEYED, **named}
    return server.client.post("/v1/completions", content=content, headers=sent).status_code


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "localhost", "127.0.0.1:1", ""]
)
def test_another_name_is_not_answered_to(server: Running, host: str) -> None:
    for path in ("/", "/health", "/v1/models"):
        headers = {"Host": host.format(port=server.port), **KEYED}
        assert server.client.get(path, headers=headers).status_code == 403
    assert post(server, Host=host.format(port=server.port)) == 403


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_names_of_this_machine_are_answered_to(server: Running, host: str) -> None:
    assert post(server, Host=host.format(port=server.port)) == 200


def test_hosts_are_written_as_clients_write_them() -> None:
    assert "[::1]:8117" in hosts_of("::1", 8117)
    assert "localhost" in hosts_of("127.0.0.1", 80)
    assert "box.local" in hosts_of("0.0.0.0", 8117, ["Box.local"])


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://localhost", "file://", "http://allowed.example.evil"]
)
def test_a_page_of_another_site_may_not_call_even_simply(server: Running, origin: str) -> None:
    assert post(server, Origin=origin) == 403
    assert server.client.get("/v1/models", headers={"Origin": origin, **KEYED}).status_code == 403
    preflight = server.client.options("/v1/completions", headers={"Origin": origin})
    assert preflight.status_code == 403


def test_own_and_allowed_pages_may(server: Running) -> None:
    assert post(server, Origin=server.url) == 200
    for origin in ("http://allowed.example", "null"):
        answer = server.client.get("/v1/models", headers={"Origin": origin, **KEYED})
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        preflight = server.client.options("/v1/completions", headers={"Origin": origin})
        assert preflight.status_code == 204
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in server.client.get("/health").headers


@pytest.mark.parametrize(
    "key", ["", "Bearer", "Bearer wrong", "Bearer s3cre", "Bearer s3cr\xe9t", "s3cret2"]
)
def test_without_the_key_only_the_page_and_its_health_are_open(server: Running, key: str) -> None:
    headers = [(b"Content-Type", b"application/json"), (b"Authorization", key.encode())]
    done = server.client.post("/v1/completions", content=BODY, headers=headers)
    assert done.status_code == 401 and done.json()["error"]["code"] == "invalid_api_key"
    assert server.client.get("/v1/models").status_code == 401
    assert server.client.get("/health").status_code == 200
    assert server.client.get("/").status_code == 200


def test_where_no_key_is_set_any_is_taken() -> None:
    with running() as server:
        for key in ("Bearer", "Bearer anything", ""):
            headers = {**JSON, "Authorization": key}
            done = server.client.post("/v1/completions", content=BODY, headers=headers)
            assert done.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/completions", 405), ("DELETE", "/v1/models", 405), ("GET", "/../etc", 404),
        ("GET", "/page/../wire.py", 404), ("GET", "/page/%2e%2e/wire.py", 404),
        ("GET", "/page/nothing.js", 404), ("GET", "//health", 404),
        ("POST", "/v1/chat/completions", 404),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(server: Running, method: str, path: str, status: int) -> None:
    done = server.client.request(method, server.url + path, headers=KEYED)
    assert done.status_code == status, done.text
    if status == 405:
        assert done.headers["Allow"]


def test_the_page_comes_with_its_policy(server: Running) -> None:
    done = server.client.get("/")
    assert done.headers["Content-Security-Policy"] == POLICY
    assert done.headers["X-Content-Type-Options"] == "nosniff"
    assert done.headers["Referrer-Policy"] == "no-referrer"
    assert done.headers["Content-Type"] == "text/html; charset=utf-8"


# Clients that speak no HTTP, or half of it.


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"\x16\x03\x01", b"GET", b"GET / HTTP/1.1\r\nHost: ",
        b"POST /v1/completions HTTP/1.1\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
        b"Content-Length: 50\r\n\r\n{",
    ],
)  # fmt: skip
def test_half_a_request_costs_nobody_anything(server: Running, sent: bytes) -> None:
    for linger in (True, False):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        client.sendall(sent.replace(b"%d", str(server.port).encode()))
        if not linger:  # a reset in the place of an orderly end
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    assert post(server) == 200
    server.wait_until_idle()
