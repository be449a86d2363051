"""A folder -> an HTTP server on loopback that answers well, except where it is told not to.

    with MisbehavingServer(folder) as server:
        server.misbehave("vocab.bpe", status(500), times=2)
        fetch(server.url + "/vocab.bpe")

Knows ranges, If-Range, ETag, Content-MD5, TLS and, as a proxy, absolute request lines and CONNECT,
which it only ever refuses.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import itertools
import mmap
import re
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

BLOCK = 1 << 20  # bytes in one write


@dataclasses.dataclass
class Answer:
    """What is about to be sent. A fault changes it.

    The connection ends after cut bytes of the body; every block of the body is followed by a
    pause in seconds; from stall_at on nothing is sent for stall seconds. Instead of all that,
    pieces are sent as they are, a pause after each, and then the connection ends.
    """

    status: int
    headers: dict[str, str]
    body: memoryview | bytes
    cut: int | None = None
    block: int = BLOCK
    pause: float = 0.0
    stall_at: int | None = None
    stall: float = 0.0
    pieces: Iterable[bytes] | None = None


Fault = Callable[[Answer], None]


class MisbehavingServer:
    """Serves a folder from threads of its own. requests has "METHOD /path range" of each so far,
    signed what was told of who asks, queries what came after a question mark, most_at_once how many
    it had to answer at the same time.

    With tls it speaks https; of its handshakes the first broken_handshakes fail. As a proxy it
    answers a CONNECT with connect_status.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ranges: bool = True,
        md5: bool = True,
        tls: ssl.SSLContext | None = None,
        connect_status: int = 403,
    ) -> None:
        self.folder, self.ranges, self.md5 = folder, ranges, md5
        self.tls, self.broken_handshakes, self.connect_status = tls, 0, connect_status
        self.edition = 1  # another one gives every file another ETag
        self.requests: list[str] = []
        self.signed: list[str | None] = []
        self.queries: list[str] = []
        self.proxied: list[str] = []
        self.faults: list[list[Any]] = []
        self.lock = threading.Lock()
        self.answering = self.most_at_once = 0
        handler = type("BoundHandler", (Handler,), {"owner": self})
        self.http = Quiet(("127.0.0.1", 0), handler)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> MisbehavingServer:
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.http.shutdown()
        self.http.server_close()

    def misbehave(
        self, path: str, fault: Fault, *, times: float = float("inf"), methods: str = "GET"
    ) -> None:
        """The next answers, times of them, for paths that end so, "" for all."""
        self.faults.append([path, fault, times, methods])

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for rule in self.faults:
                if path.endswith(rule[0]) and method in rule[3] and rule[2] > 0:
                    rule[2] -= 1
                    return rule[1]
        return None

    def fetched(self) -> list[str]:
        """Names of the files whose bytes were asked for, in order, each once."""
        paths = [line.split()[1] for line in self.requests if line.startswith("GET")]
        return list(dict.fromkeys(path.rsplit("/", 1)[-1] for path in paths))


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request: Any, client_address: Any) -> None:
        owner = self.RequestHandlerClass.owner  # type: ignore[attr-defined]
        if owner.broken_handshakes:
            owner.broken_handshakes -= 1
            return
        if owner.tls:
            request = owner.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # else the client went away
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    owner: MisbehavingServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        owner = self.owner
        with owner.lock:
            owner.answering += 1
            owner.most_at_once = max(owner.most_at_once, owner.answering)
        try:
            self.answer(self.good_answer())
        finally:
            with owner.lock:
                owner.answering -= 1

    do_GET = do_HEAD

    def do_CONNECT(self) -> None:
        self.owner.proxied.append(self.path)
        self.send_response(self.owner.connect_status)
        self.end_headers()
        self.close_connection = True

    def good_answer(self) -> Answer:
        url = urlsplit(self.path)
        if url.scheme:
            self.owner.proxied.append(self.path)
        path = self.owner.folder / unquote(url.path).lstrip("/")
        asked = self.headers.get("Range", "")
        self.owner.signed.append(self.headers.get("Authorization"))
        self.owner.queries.append(url.query)
        self.owner.requests.append(f"{self.command} {url.path} {asked}".rstrip())
        if not path.is_file():
            body = b'<?xml version="1.0"?><Error><Code>BlobNotFound</Code></Error>'
            return Answer(404, {"Content-Type": "application/xml"}, body)
        whole = contents(path)
        headers = {"Content-Type": "application/octet-stream", "ETag": self.etag(path)}
        if self.owner.md5:
            headers["Content-MD5"] = md5(path, path.stat().st_mtime_ns)
        if self.owner.ranges:
            headers["Accept-Ranges"] = "bytes"
        named = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        same = self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
        if not (named and same and self.owner.ranges):
            return Answer(200, headers, whole)
        first, last = int(named[1]), min(int(named[2] or len(whole) - 1), len(whole) - 1)
        headers.pop("Content-MD5", None)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(whole)}"
        return Answer(206, headers, whole[first : last + 1])

    def etag(self, path: Path) -> str:
        return f'"{path.name}-{path.stat().st_size}-{self.owner.edition}"'

    def answer(self, answer: Answer) -> None:
        if fault := self.owner.fault_for(self.command, urlsplit(self.path).path):
            fault(answer)
        if "Transfer-Encoding" not in answer.headers:
            answer.headers.setdefault("Content-Length", str(len(answer.body)))
        try:
            if answer.pieces is not None:
                self.close_connection = True
                for piece in answer.pieces:
                    self.wfile.write(piece)
                    time.sleep(answer.pause)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.send_body(answer)
        except OSError:  # the client went away
            self.close_connection = True

    def send_body(self, answer: Answer) -> None:
        end = len(answer.body) if answer.cut is None else answer.cut
        if answer.headers.get("Content-Length", str(len(answer.body))) != str(end):
            self.close_connection = True
        for start in range(0, end, answer.block):
            if answer.stall_at is not None and start >= answer.stall_at:
                time.sleep(answer.stall)
            self.wfile.write(answer.body[start : min(start + answer.block, end)])
            if answer.pause:
                time.sleep(answer.pause)


def contents(path: Path) -> memoryview | bytes:
    with path.open("rb") as file:
        if path.stat().st_size < BLOCK:
            return file.read()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


MD5S: dict[tuple[Path, int], str] = {}


def md5(path: Path, changed: int) -> str:
    if (path, changed) not in MD5S:
        digest = hashlib.md5(contents(path), usedforsecurity=False).digest()
        MD5S[path, changed] = base64.b64encode(digest).decode()
    return MD5S[path, changed]


def status(code: int, body: bytes = b"<Error/>", kind: str = "application/xml") -> Fault:
    def fault(answer: Answer) -> None:
        answer.status, answer.body, answer.headers = code, body, {"Content-Type": kind}

    return fault


def drop(answer: Answer) -> None:
    """The connection is lost in the middle."""
    answer.cut = (len(answer.body) + 1) // 2
    answer.headers["Content-Length"] = str(len(answer.body))


def wrong_length(extra: int) -> Fault:
    def fault(answer: Answer) -> None:
        answer.headers["Content-Length"] = str(len(answer.body) + extra)

    return fault


def wrong_bytes(answer: Answer) -> None:
    answer.body = bytes(len(answer.body))


def page(answer: Answer) -> None:
    """What a network that wants a login answers: success, and a page."""
    status(200, b"<!DOCTYPE html><html>Please log in</html>", "text/html")(answer)


def redirect(to: str) -> Fault:
    def fault(answer: Answer) -> None:
        answer.status, answer.body, answer.headers = 302, b"", {"Location": to}

    return fault


def zipped(answer: Answer) -> None:
    """Compressed though identity was asked for, and no part of it can be had."""
    answer.status = 200
    answer.body = gzip.compress(bytes(answer.body))
    answer.headers = {"Content-Encoding": "gzip"}


def chunked(answer: Answer) -> None:
    """Without a length, as servers send what they make on the way."""
    body = bytes(answer.body)
    answer.body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    answer.headers["Transfer-Encoding"] = "chunked"


def chunked_drop(answer: Answer) -> None:
    chunked(answer)
    answer.cut = len(answer.body) // 2


def stalled(seconds: float) -> Fault:
    def fault(answer: Answer) -> None:
        answer.block = max(1, len(answer.body) // 2)
        answer.stall_at, answer.stall = answer.block, seconds

    return fault


def dripping(block: int, pause: float) -> Fault:
    """So many bytes at a time, a pause in seconds after each."""

    def fault(answer: Answer) -> None:
        answer.block, answer.pause = block, pause

    return fault


def in_pieces(*pieces: bytes, last: bytes, times: int, pause: float) -> Fault:
    """These bytes, and then the last ones so many times."""

    def fault(answer: Answer) -> None:
        answer.pieces = itertools.chain(pieces, itertools.repeat(last, times))
        answer.pause = pause

    return fault


def short_range(size: int) -> Fault:
    """Of every range only the first bytes, and that is what it says."""

    def fault(answer: Answer) -> None:
        if answer.status == 206:
            answer.body = answer.body[:size]

    return fault


if __name__ == "__main__":  # FOLDER [--no_md5]: serves it and says where, until it is killed
    with MisbehavingServer(Path(sys.argv[1]), md5="--no_md5" not in sys.argv) as running:
        print(running.url, flush=True)
        threading.Event().wait()
