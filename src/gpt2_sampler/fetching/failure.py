"""An exception from the HTTP libraries -> why the request failed, and whether a retry may succeed.

Knows no files.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import TypeVar

from requests import exceptions
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError, ProxySchemeUnknown, ReadTimeoutError

from gpt2_sampler.fetching.address import hide_secrets

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
TUNNEL = re.compile(r"Tunnel connection failed: (\d{3}) ?(.*)")
REASON = 60  # characters of a server's words to show, at most
ADDRESS_ERRORS = (
    exceptions.InvalidSchema,
    exceptions.InvalidURL,
    exceptions.MissingSchema,
    ValueError,  # of the standard library and of urllib3
)

Kind = TypeVar("Kind", bound=BaseException)


class Passing(Exception):
    """An answer that may change in a moment. wait is what the server asks for, in seconds."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


TRANSIENT = (exceptions.RequestException, HTTPError, Passing)


def explain_lasting(error: BaseException, address: str) -> str | None:
    """Why the request would fail again, and what helps; None if a retry may succeed."""
    found = list(causes(error))
    why = find_refusal(found, proxy_of(address)) or find_distrust(found)
    if why or isinstance(error, exceptions.InvalidHeader):
        return why
    if isinstance(error, OSError) and not isinstance(error, exceptions.RequestException):
        return unreadable_certificates()  # requests raises it if there is no such file
    if isinstance(error, ADDRESS_ERRORS):
        return "not the address of a server, so it cannot be asked"
    return None


def find_refusal(found: Sequence[BaseException], proxy: str) -> str | None:
    tunnel = answer_of_proxy(found)
    if tunnel and int(tunnel[1]) not in PASSING_STATUS:
        return f"{proxy} answers {proxy_answer(int(tunnel[1]), tunnel[2])}"
    if (unknown := one(found, exceptions.InvalidSchema)) and "SOCKS" in str(unknown):
        return f"{proxy} speaks SOCKS, which needs another package: pip install pysocks"
    if one(found, exceptions.InvalidProxyURL) or one(found, ProxySchemeUnknown):
        return f"{proxy} is not the address of a proxy, which is written http://HOST:PORT"
    return None


def find_distrust(found: Sequence[BaseException]) -> str | None:
    if error := one(found, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); where a proxy answers "
            "in its place, set REQUESTS_CA_BUNDLE to a file with the proxy's certificate"
        )
    broken = [cause for cause in found if isinstance(cause, OSError)]
    if any(getattr(cause, "library", "") in ("X509", "PEM") for cause in broken) or any(
        "certificate or crl" in str(cause) for cause in broken
    ):
        return unreadable_certificates()
    return None


def unreadable_certificates() -> str:
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    name = next((name for name in names if os.environ.get(name)), names[0])
    path = os.environ.get(name) or DEFAULT_CA_BUNDLE_PATH
    return f"the certificates in {path} cannot be read; {name} names another file of them"


def explain(error: BaseException, address: str) -> str:
    """Why the request failed, in plain words."""
    if isinstance(error, Passing):
        return str(error)
    found = list(causes(error))
    via = f"{proxy_of(address)}: " if one(found, exceptions.ProxyError) else ""
    if tunnel := answer_of_proxy(found):
        return f"{via}it answers {tunnel[1]} {tunnel[2]:.{REASON}}"
    if broken := one(found, ssl.SSLError):
        return f"{via}the TLS handshake broke ({broken.reason or broken})"
    reasons = {
        (exceptions.Timeout, ReadTimeoutError, TimeoutError): "the server is silent",
        (socket.gaierror,): "its host is not found",
        (ConnectionRefusedError,): "the connection is refused",
    }
    known = (why for kinds, why in reasons.items() if any(one(found, kind) for kind in kinds))
    return via + next(known, "the connection broke")


def proxy_answer(status: int, reason: str) -> str:
    hints = {
        403: "it does not let this address through",
        407: "it wants a name and a password, in HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT",
    }
    hint = hints.get(status, "")
    return f"{status} {reason:.{REASON}}".rstrip() + f"; {hint}" * bool(hint)


def proxy_of(address: str) -> str:
    """How to name the proxy that the environment sets for this address."""
    proxy = select_proxy(address, get_environ_proxies(address)) or ""
    return f"the proxy {hide_secrets(proxy)}".rstrip()


def answer_of_proxy(found: Sequence[BaseException]) -> re.Match[str] | None:
    """A proxy's answer to a request to connect: its number and reason."""
    return next(filter(None, (TUNNEL.fullmatch(str(cause)) for cause in found)), None)


def one(found: Sequence[BaseException], kind: type[Kind]) -> Kind | None:
    return next((cause for cause in found if isinstance(cause, kind)), None)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps, outermost first, whichever library has wrapped it."""
    seen, todo = set[int](), list[object]([error])
    while todo:
        cause = todo.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            todo += [getattr(cause, "reason", None), cause.__cause__, cause.__context__]
            todo += cause.args
