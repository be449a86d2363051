"""What is no JSON object, too large or late is refused, and nothing of it is kept."""

from __future__ import annotations

import socket

import pytest

from tests.serving.running import Running, running
from tests.serving.test_guard import BODY, JSON


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"]
)
def test_a_body_that_a_form_could_send_is_refused(server: Running, kind: str) -> None:
    headers = {"Content-Type": kind}
    assert server.client.post("/v1/completions", content=BODY, headers=headers).status_code == 415


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "[]", "3", "null", '{"prompt": NaN}', '{"temperature": Infinity}', "[" * 100_000,
        '{"a":' * 5000 + "1" + "}" * 5000, '{"prompt": "\\ud800"}', b"\xff\xfe{}", '{"n": 1e999}',
        '{"seed": ' + "9" * 5000 + "}", '{"max_tokens": ' + "9" * 4000 + "}",
    ],
)  # fmt: skip
def test_what_is_no_request_is_one_error_of_the_clients(server: Running, body: str | bytes) -> None:
    done = server.client.post("/v1/completions", content=body, headers=JSON)
    assert done.status_code == 400, done.text
    assert set(done.json()["error"]) == {"message", "type", "param", "code"}
    assert len(done.content) < 1000


def test_a_body_too_large_is_refused_before_it_is_read() -> None:
    with running(max_body=1000) as server:
        done = server.client.post("/v1/completions", content=b"x" * 1001, headers=JSON)
        assert done.status_code == 413
        chunked = server.client.post(
            "/v1/completions", content=iter([b"x" * 500] * 3), headers=JSON
        )
        assert chunked.status_code == 413
        full = BODY.encode().ljust(1000)
        for content in (full, iter([full[:500], full[500:]])):
            done = server.client.post("/v1/completions", content=content, headers=JSON)
            assert done.status_code == 200


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpt2_sampler.serving.incoming.BODY_TIME", 0.2)
    with running() as server:
        head = (
            b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{" % server.port
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(head)
            assert b" 408 " in client.recv(4096)
