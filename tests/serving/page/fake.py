"""A server with the API that the page talks to and a model of a few words, for tests of the page.

Its texts follow from prompt, seed and sample number, as the real one's do; what it answers wrong,
and how fast, is set from the test.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import random
import re
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gpt2_sampler.serving.page import INDEX, POLICY, page_files

WORDS = """ the king and a of to was in his her old that she he said it had great forest house with
 little went then came night one day when castle gold river bird wolf mother daughter who"""
VOCABULARY = [*re.findall(r" \w+", WORDS), ",", ".", "\n", "<b>bold</b>", " 王", "。"]
PARTS = re.compile(r" ?\w+|\s|[^\w\s]")
SHARES = [1 / (n + 1) ** 1.2 for n in range(len(VOCABULARY))]
LOGPROBS = [math.log(share / sum(SHARES)) for share in SHARES]


class Fake:
    """What the server does and what it was asked."""

    def __init__(self) -> None:
        self.window = 1024
        self.pause = 0.0  # seconds a token
        self.error: tuple[int, dict[str, Any]] | None = None
        self.breaks_after: int | None = None  # tokens, after which the connection is closed
        self.says: str | None = None  # in the place of what the model would write
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.open = 0  # streams
        self.ids: dict[str, int] = {text: n for n, text in enumerate(VOCABULARY)}

    def tokens(self, text: str) -> list[str]:
        parts = PARTS.findall(text)
        for part in parts:
            self.ids.setdefault(part, len(self.ids))
        return parts

    def texts(self, ids: Sequence[int]) -> list[str]:
        known = {n: text for text, n in self.ids.items()}
        return [known[n] for n in ids]

    def order(self, before: Sequence[str]) -> list[str]:
        """The vocabulary, the likeliest first."""
        words = list(VOCABULARY)
        random.Random("|".join(before[-3:])).shuffle(words)
        return words

    def told(self, before: Sequence[str], token: str, asked: dict[str, Any]) -> dict[str, Any]:
        """What logprobs has of one token."""
        words = self.order(before)
        keep = asked.get("top_k") or len(words)
        mass = sum(map(math.exp, LOGPROBS[:keep]))
        after = [p - math.log(mass) if n < keep else None for n, p in enumerate(LOGPROBS)]
        n = words.index(token) if token in words else len(words) - 1
        top = [
            {"id": self.ids[word], "token": word, "logprob": p, "filtered_logprob": f}
            for word, p, f in zip(words, LOGPROBS, after, strict=True)
        ]
        known = token in words
        return {
            "tokens": token,
            "token_ids": self.ids[token],
            "token_logprobs": LOGPROBS[n] if known else -12.0,
            "filtered_logprobs": after[n] if known else None,
            "ranks": n + 1 if known else 4000,
            "top": top[: asked.get("logprobs") or 0],
        }

    def drawn(self, prompt: Sequence[str], asked: dict[str, Any], sample: int) -> Iterator[str]:
        if self.says is not None:
            yield from self.tokens(self.says)
            return
        text = list(prompt)
        said = f"{asked.get('seed')} {sample} {'|'.join(prompt)}"
        noise = random.Random(hashlib.sha256(said.encode()).digest())
        keep = asked.get("top_k") or len(VOCABULARY)
        for _ in range(asked.get("max_tokens", 16)):
            token = noise.choices(self.order(text)[:keep], SHARES[:keep])[0]
            text.append(token)
            yield token


def logprobs_of(told: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {name: [one[name] for one in told] for name in told[0]} if told else {}
    offsets = [0]
    for one in told:
        offsets.append(offsets[-1] + len(one["tokens"]))
    return {**found, "text_offset": offsets[:-1]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: Fake

    def log_message(self, *_: Any) -> None: ...

    def answer(self, status: int, kind: str, content: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", POLICY)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def say(self, found: Any, status: int = 200, **headers: str) -> None:
        self.answer(status, "application/json", json.dumps(found).encode(), **headers)

    def do_GET(self) -> None:
        name = INDEX if self.path == "/" else self.path.removeprefix("/page/")
        if self.path == "/v1/models":
            model = {"id": "toy", "object": "model", "max_model_len": self.fake.window}
            self.say({"object": "list", "data": [model]})
        elif name in FILES:
            self.answer(200, *FILES[name])
        else:
            self.say({"error": {"message": "not found"}}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body)
        fake = self.fake
        if self.path == "/tokenize":
            tokens = [fake.ids[part] for part in fake.tokens(asked["prompt"])]
            return self.say({"tokens": tokens, "count": len(tokens)})
        fake.requests.append(asked)
        fake.keys.append(self.headers.get("Authorization"))
        if fake.error:
            status, error = fake.error
            return self.say({"error": error}, status, Retry_After="7")
        prompt = asked["prompt"] or ""
        before = fake.texts(prompt) if isinstance(prompt, list) else fake.tokens(prompt)
        if len(before) > fake.window and asked.get("truncate_prompt_tokens") != -1:
            said = f"the prompt has {len(before)} tokens, the window {fake.window}"
            error = {"message": said, "code": "context_length_exceeded"}
            return self.say({"error": error}, 400)
        if asked.get("stream"):
            return self.stream(before, asked)
        choices = []
        for n in range(asked.get("n", 1)):
            told = []
            if asked.get("echo"):
                told += [fake.told(before[:k], t, asked) for k, t in enumerate(before)]
                told[0]["token_logprobs"] = None
            text = list(before)
            for token in fake.drawn(before, asked, n + asked.get("first", 0)):
                told.append(fake.told(text, token, asked))
                text.append(token)
            said = "".join(one["tokens"] for one in told)
            choices.append({"index": n, "text": said, "logprobs": logprobs_of(told)})
        self.say({"choices": choices, "seed": asked.get("seed", 1)})

    def stream(self, before: Sequence[str], asked: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        fake, text = self.fake, list(before)
        fake.open += 1
        try:
            drawn = list(fake.drawn(before, asked, asked.get("first", 0)))
            for n, token in enumerate(drawn):
                if n == fake.breaks_after:
                    return
                last = n + 1 == len(drawn)
                logprobs = logprobs_of([fake.told(text, token, asked)])
                choice = {"index": 0, "text": token, "logprobs": logprobs}
                choice["finish_reason"] = "length" if last else None
                self.event({"choices": [choice], "seed": asked.get("seed", 1), "model": "toy"})
                text.append(token)
                time.sleep(fake.pause)
            self.event({"choices": [], "usage": {"completion_tokens": len(drawn)}})
            self.wfile.write(b"data: [DONE]\n\n")
        except ConnectionError:
            pass
        finally:
            fake.open -= 1

    def event(self, found: Any) -> None:
        self.wfile.write(f"data: {json.dumps(found)}\n\n".encode())
        self.wfile.flush()


FILES = page_files()


@contextlib.contextmanager
def fake_server() -> Iterator[tuple[str, Fake]]:
    """Its address, and what it does."""
    fake = Fake()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("FakeHandler", (Handler,), {"fake": fake}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", fake
    finally:
        server.shutdown()
        server.server_close()
