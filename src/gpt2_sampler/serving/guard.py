"""A request's head -> whether it may be answered at all. Knows no bodies and no models.

A page of any site can make a browser send requests to this machine: the Host header catches those
that a name of theirs leads here (DNS rebinding), the Origin header the others.
"""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from gpt2_sampler.serving.wire import Refusal

LOOPBACK = "localhost", "127.0.0.1", "[::1]"


@dataclasses.dataclass(frozen=True)
class Guard:
    """Which requests are answered."""

    hosts: frozenset[str]
    """Host headers that are answered, with their ports as they are written."""
    origins: frozenset[str] = frozenset()
    """Origins beside the server's own that may call it: SCHEME://HOST:PORT, or null."""
    key: str = ""

    def check(self, headers: Mapping[str, str], *, open: bool) -> None:
        """Raises Refusal. open says that no key is needed."""
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if host not in self.hosts:
            raise Refusal(
                f"this server does not answer to the name {host!r:.80}; it can be allowed when it "
                "is started",
                status=403,
            )
        if origin is not None and not self.allows(origin, host):
            raise Refusal(
                f"pages of {origin!r:.80} may not call this server; they can be allowed when it is "
                "started",
                status=403,
            )
        if self.key and not open:
            given = headers.get("authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(given.encode(), self.key.encode()):
                raise Refusal(
                    "this server needs its key: Authorization: Bearer KEY",
                    status=401,
                    code="invalid_api_key",
                )

    def allows(self, origin: str, host: str) -> bool:
        return origin in self.origins or urlsplit(origin).netloc.lower() == host

    def answer_headers(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        """What lets a page of an allowed origin read the answer."""
        origin = headers.get("origin")
        if origin not in self.origins:
            return [("Vary", "Origin")] if self.origins else []
        return [("Access-Control-Allow-Origin", str(origin)), ("Vary", "Origin")]


def hosts_of(host: str, port: int, allowed: Iterable[str] = ()) -> frozenset[str]:
    """The Host headers under which a server at this address is meant: its own name and the names of
    this machine with its port, and those that were allowed, with a port of any kind as given."""
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    names = {*LOOPBACK, bracketed.lower()}
    with_port = {f"{name}:{port}" for name in names}
    return frozenset(with_port | (names if port == 80 else set()) | {h.lower() for h in allowed})
