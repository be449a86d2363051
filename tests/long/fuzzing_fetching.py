"""Mutated listings of a hub end in a plan or in one line, mutated answers of a server in the right
file or in one line; no file is ever fetched to another place.

    PYTHONPATH=src python3 -m tests.long.fuzzing_fetching 2000      # of each, some minutes
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
import sys
import tempfile
import time
from pathlib import Path

from urllib3.util.retry import Retry

from gpt2_sampler.errors import SamplerError
from gpt2_sampler.fetching.client import Client, Network
from gpt2_sampler.fetching.fetch_file import fetch
from gpt2_sampler.fetching.filespec import FileSpec, Version
from gpt2_sampler.fetching.hub import plan
from tests.long.fuzzing import SLOW, mutated
from tests.misbehaving_server import Answer, MisbehavingServer

QUICK = Network(timeout=0.3, patience=0.5, retry=Retry(total=0), connections=1, piece=1 << 20)
CONTENT = random.Random(7).randbytes(5_003)
KNOWN = FileSpec("file", (Version(len(CONTENT), hashlib.sha256(CONTENT).hexdigest()),))
LISTING = {
    "sha": "0123abc",
    "config": {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
    "siblings": [
        {"rfilename": "config.json", "size": 700},
        {"rfilename": "vocab.json", "size": 798_156},
        {"rfilename": "merges.txt"},
        {"rfilename": "spiece.model", "size": 5},
        {"rfilename": "model.safetensors.index.json", "size": 900},
        *(
            {
                "rfilename": f"model-0000{number}-of-00002.safetensors",
                "size": 10**9,
                "lfs": {"sha256": "0" * 64, "size": 10**9, "pointerSize": 135},
            }
            for number in (1, 2)
        ),
    ],
}
HEAD = (
    b"HTTP/1.1 %s\r\nContent-Length: %d\r\nContent-Type: application/octet-stream\r\n"
    b'ETag: "1"\r\nAccept-Ranges: bytes\r\n%sConnection: close\r\n\r\n'
)


def planned(server: MisbehavingServer, answer: bytes) -> str:
    """What became of a listing. Raises AssertionError for a plan that would lead elsewhere."""

    def fault(good: Answer) -> None:
        good.body, good.status, good.headers = answer, 200, {}

    server.faults.clear()
    server.misbehave("", fault)
    found = plan("hf:o/n", [server.url], QUICK)
    assert found.source.startswith(f"{server.url}/o/n/resolve/"), found.source
    for spec in found.files:
        assert re.fullmatch(r"\w[\w.-]*", spec.name), spec.name
        assert all(version.size >= 0 for version in spec.versions), spec
    return "a plan"


def fetched(server: MisbehavingServer, draw: random.Random, folder: Path) -> str:
    """What became of a file whose server mutates its answers. Raises AssertionError for another
    content under its name."""

    def fault(good: Answer) -> None:
        if good.status == 206:
            span = b"Content-Range: bytes 0-%d/%d\r\n" % (len(CONTENT) - 1, len(CONTENT))
            head = HEAD % (b"206 Partial Content", len(CONTENT), span)
        else:
            head = HEAD % (b"200 OK", len(CONTENT), b"")
        good.pieces = [mutated(head, "head", draw) + CONTENT]

    server.faults.clear()
    server.misbehave("file", fault, methods=draw.choice(["GET", "GET HEAD"]))
    client, target = Client(QUICK), folder / "file"
    try:
        fetch(client, client.probe(f"{server.url}/file"), target, KNOWN)
        assert target.read_bytes() == CONTENT
        return "the file"
    finally:
        target.unlink(missing_ok=True)
        assert {path.name for path in folder.iterdir()} <= {"file.part", "file.part.json"}


def fuzz(kind: str, count: int, seed: int = 0) -> dict[str, int]:
    """count inputs -> how many gave what. kind is "listing" or "answer"."""
    outcomes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as temporary:
        served, here = Path(temporary) / "served", Path(temporary) / "here"
        for folder in (served, here):
            folder.mkdir()
        (served / "file").write_bytes(CONTENT)
        with MisbehavingServer(served) as server:
            for number in range(count):
                draw, began = random.Random(f"{kind} {seed} {number}"), time.monotonic()
                listing = mutated(json.dumps(LISTING).encode(), "x.json", draw)
                tried = functools.partial(planned, server, listing)
                if kind == "answer":
                    tried = functools.partial(fetched, server, draw, here)
                try:
                    outcome = tried()
                except SamplerError as error:
                    outcome = "a line"
                    assert "\n" not in str(error) and len(str(error)) < 2500, str(error)
                except Exception as error:
                    raise AssertionError(f"{kind}, input {number}: {error!r}") from error
                assert time.monotonic() - began < SLOW, (kind, number)
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


if __name__ == "__main__":
    for one in ("listing", "answer"):
        print(one, fuzz(one, int(sys.argv[1])), flush=True)
