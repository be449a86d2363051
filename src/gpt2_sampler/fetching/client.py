"""A URL -> what a server says of it and its bytes; failures that may pass are tried again.

Knows HTTP, but neither files nor models.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import requests
from requests import exceptions
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError
from urllib3.util.retry import Retry

from gpt2_sampler.errors import DownloadError

RETRY = Retry(total=5, backoff_factor=0.5, backoff_max=30)  # waits 0, 1, 2, 4, 8 s
MAX_WAIT = 60.0  # seconds, whatever a server's Retry-After says
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
NO_HEAD = frozenset({400, 403, 405, 501})  # answers of servers that know GET only
PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/xml", "text/xml")
PERMANENT = (
    exceptions.InvalidSchema,
    exceptions.InvalidURL,
    exceptions.MissingSchema,
    exceptions.SSLError,
    exceptions.TooManyRedirects,
)

T = TypeVar("T")


class SourceError(DownloadError):
    """The file cannot be had from this URL; another may have it."""


class Unreachable(SourceError):
    """Nor can anything else be had from this host for now."""


class Changed(Exception):
    """The file at the URL is not the one that was asked about before."""


class Passing(Exception):
    """A status that may be gone in a moment; wait is what the server asks for, in seconds."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"it answers {response.status_code} {response.reason}")
        self.wait = min(Retry().get_retry_after(response.raw) or 0.0, MAX_WAIT)


TRANSIENT = (requests.RequestException, HTTPError, Passing)


@dataclasses.dataclass(frozen=True)
class Network:
    """How greedy and how patient to be: connections at once, a range's size in bytes, seconds
    without a byte before a connection counts as dead, failures in a row that brought no byte.
    """

    connections: int = 4
    piece: int = 16 << 20
    timeout: float = 30.0
    retry: Retry = RETRY
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


NETWORK = Network()


@dataclasses.dataclass(frozen=True)
class Remote:
    """A file as its server describes it.

    length in bytes, None where it is not said; validator changes with the content; md5 in base64;
    framed: an end too soon is noticed; ranges: parts of it can be asked for.
    """

    url: str
    length: int | None
    validator: str | None
    md5: str | None
    framed: bool
    ranges: bool


class Client:
    """A pool of connections. notice is told in words of every wait, from any thread."""

    def __init__(
        self, network: Network, notice: Callable[[str], object] = lambda line: None
    ) -> None:
        self.network, self.notice = network, notice
        self.session = requests.Session()
        self.session.headers.update(network.headers)
        self.session.headers["Accept-Encoding"] = "identity"  # lengths and ranges of the file
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=network.connections))

    def probe(self, url: str) -> Remote:
        """Raises SourceError where there is no such file."""

        def ask() -> Remote:
            with self.request("HEAD", url) as response:
                if response.status_code not in NO_HEAD:
                    return remote_of(url, self.accepted(response))
            with self.get(url) as response:
                return remote_of(url, response)

        return self.persist(ask, url)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """A good response, its body not yet read.

        Raises SourceError, Changed, or one of TRANSIENT.
        """
        return self.accepted(self.request("GET", url, headers))

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        try:
            return self.session.request(
                method,
                url,
                headers=headers,
                stream=True,
                allow_redirects=True,
                timeout=self.network.timeout,
            )
        except PERMANENT as error:
            raise SourceError(f"{url} cannot be asked for: {error}") from None

    def accepted(self, response: requests.Response) -> requests.Response:
        status, kind = response.status_code, response.headers.get("Content-Type", "")
        try:
            if status in PASSING:
                raise Passing(response)
            if status in (412, 416):
                raise Changed
            if status not in (200, 206):
                raise SourceError(f"{response.url} answers {status} {response.reason}")
            if kind.split(";")[0].strip().lower() in PAGE_TYPES:
                raise SourceError(f"{response.url} is a web page ({kind}), not a model file")
        except BaseException:
            response.close()
            raise
        return response

    def persist(self, action: Callable[[], T], url: str) -> T:
        retry = self.network.retry
        while True:
            try:
                return action()
            except TRANSIENT as error:
                retry = self.wait(retry, url, error)

    def wait(
        self, retry: Retry, url: str, error: Exception, stop: threading.Event | None = None
    ) -> Retry:
        """Waits before the next try, until stop at most.

        Returns what is left of retry; raises Unreachable when it is used up.
        """
        why = reason(error)
        try:
            left = retry.increment("GET", url, error=error)
        except MaxRetryError:
            raise Unreachable(f"{url} failed {len(retry.history) + 1} times: {why}") from None
        seconds = max(left.get_backoff_time(), getattr(error, "wait", 0.0))
        if seconds:
            self.notice(f"{url}: {why}; trying again in {seconds:.0f} s")
        (stop or threading.Event()).wait(seconds)
        return left


def remote_of(url: str, response: requests.Response) -> Remote:
    headers = response.headers
    plain = headers.get("Content-Encoding", "identity") == "identity"
    length = int(headers["Content-Length"]) if headers.get("Content-Length", "").isdigit() else None
    known = length if plain and response.status_code == 200 else None
    validator = validator_of(response)
    return Remote(
        url=url,
        length=known,
        validator=validator,
        md5=headers.get("Content-MD5") if plain else None,
        framed=length is not None or headers.get("Transfer-Encoding", "").lower() == "chunked",
        ranges=bool(known and validator) and headers.get("Accept-Ranges", "") == "bytes",
    )


def validator_of(response: requests.Response) -> str | None:
    return response.headers.get("ETag") or response.headers.get("Last-Modified")


def reason(error: Exception) -> str:
    """What went wrong, without the names of classes."""
    text = str(error)
    if isinstance(error, Passing):
        return text
    if isinstance(error, exceptions.ProxyError):
        return "the proxy does not let it through"
    if isinstance(error, (exceptions.Timeout, ReadTimeoutError)):
        return "the server is silent"
    if "NameResolution" in text or "resolve" in text:
        return "its host is not found"
    if "refused" in text:
        return "the connection is refused"
    return "the connection broke"
