"""A URL -> what its server says about it, and its bytes. Retries what may be a passing failure.

Knows HTTP, but neither files nor models.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError, wait
from typing import TypeVar
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

from gpt2_sampler.fetching.address import hide_secrets, host_of, origin
from gpt2_sampler.fetching.credentials import is_same, login_of, nobody
from gpt2_sampler.fetching.failure import (
    PASSING_STATUS,
    REASON,
    TRANSIENT,
    Passing,
    explain,
    explain_lasting,
    proxy_answer,
    proxy_of,
)
from gpt2_sampler.fetching.remote import Remote, remote_of
from gpt2_sampler.fetching.trouble import (
    DENIED,
    MISSING,
    Changed,
    SourceError,
    Trouble,
    Unreachable,
)

RETRY = Retry(total=5, backoff_factor=0.5, backoff_max=30)  # waits 0, 1, 2, 4, 8 s
MAX_WAIT = 60.0  # seconds, whatever a server's Retry-After says
MAX_REDIRECTS = 30
TELL = 5.0  # seconds without an answer after which that is told
SMALL = 1 << 16  # bytes to read of a body that is not needed, so that the connection can be reused
NO_HEAD = frozenset({400, 403, 405, 501})  # answers of servers that only know GET
PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/xml", "text/xml")

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Network:
    """How greedy and how patient to be: the number of connections, the size of a range in bytes,
    the seconds without a byte after which a connection counts as dead, the seconds in all after
    which an answer must have begun, and how often to retry before any byte has come.

    tokens has access tokens by address.origin, each of which is sent to that server only.
    """

    connections: int = 4
    piece: int = 16 << 20
    timeout: float = 30.0
    patience: float = 120.0
    retry: Retry = RETRY
    tokens: Mapping[tuple[str, str, int], str] = dataclasses.field(default_factory=dict)


NETWORK = Network()


class PlainSession(requests.Session):
    """Leaves redirects alone: requests reads a redirect's body even if told not to follow it."""

    def resolve_redirects(self, *_: object, **__: object) -> Iterator[requests.Response]:
        return iter(())


class Client:
    """A pool of connections. notice is called with a message before every wait, from any thread."""

    def __init__(
        self, network: Network, notice: Callable[[str], object] = lambda line: None
    ) -> None:
        self.network, self.notice = network, notice
        self.session = PlainSession()
        self.session.headers["Accept-Encoding"] = "identity"  # so that lengths are the file's own
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=network.connections))

    def probe(self, url: str) -> Remote:
        """Raises SourceError if there is no such file."""

        def ask() -> Remote:
            with self.request("HEAD", url) as response:
                if response.status_code not in NO_HEAD:
                    return remote_of(url, self.accept(response))
            with self.get(url) as response:
                return remote_of(url, response)

        return self.persist(ask, url)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """A good response, its body not yet read.

        Raises SourceError, Changed, or one of TRANSIENT.
        """
        return self.accept(self.request("GET", url, headers))

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """The answer after all redirects. Raises SourceError, or one of TRANSIENT.

        A thread asks, and this one waits for network.patience seconds at most, and says so: each
        wait for a server has an end, but a server can make any number of waits, as by sending its
        headers byte by byte.
        """
        answer: Future[requests.Response] = Future()

        def ask() -> None:
            try:
                response = self.follow(method, url, headers)
            except BaseException as error:
                with contextlib.suppress(InvalidStateError):  # nobody waits any longer
                    answer.set_exception(error)
                return
            try:
                answer.set_result(response)
            except InvalidStateError:
                response.close()

        threading.Thread(target=ask, daemon=True).start()
        patience = self.network.patience
        if not wait([answer], min(TELL, patience)).done:
            self.notice(f"waiting for {host_of(url)}")
            wait([answer], patience - TELL)
        if answer.cancel():
            raise Passing(f"it has not answered in {patience:.0f} s")
        return answer.result()

    def follow(self, method: str, url: str, headers: Mapping[str, str] | None) -> requests.Response:
        """The answer after all redirects. Credentials are sent to the first server only, and no
        redirect may lead from https to http. Raises SourceError, or one of TRANSIENT."""
        address = url
        try:
            start, login = origin(url), login_of(url, self.network.tokens)
            for _ in range(MAX_REDIRECTS):
                response = self.session.request(
                    method,
                    address,
                    headers=headers,
                    auth=login if is_same(start, origin(address)) else nobody,
                    stream=True,
                    allow_redirects=False,
                    timeout=self.network.timeout,
                )
                location = self.session.get_redirect_target(response)
                if location is None:
                    return response
                with response:
                    response.raw.read1(SMALL, decode_content=False)  # what is there, if anything
                    before, address = address, urljoin(address, location)
                if origin(before)[0] == "https" != origin(address)[0]:
                    raise SourceError(
                        f"{hide_secrets(before)} redirects from https to {hide_secrets(address)}, "
                        "where anybody on the way could change it"
                    )
        except (OSError, ValueError, *TRANSIENT) as error:
            if why := explain_lasting(error, address):
                raise Unreachable(f"{hide_secrets(address)}: {why}", Trouble.SETUP) from None
            raise
        raise SourceError(f"{hide_secrets(url)}: there is no end to its redirects")

    def accept(self, response: requests.Response) -> requests.Response:
        status, kind = response.status_code, response.headers.get("Content-Type", "")
        where, says = (
            hide_secrets(response.url),
            f"{response.status_code} {response.reason:.{REASON}}",
        )
        try:
            if status in PASSING_STATUS:
                wait = Retry().get_retry_after(response.raw) or 0.0
                raise Passing(f"it answers {says}", min(wait, MAX_WAIT))
            if status in (412, 416):
                raise Changed
            if status == 407:
                answer = proxy_answer(status, response.reason)
                raise Unreachable(f"{proxy_of(response.url)} answers {answer}", Trouble.SETUP)
            if status not in (200, 206):
                trouble = Trouble.DENIED if status in DENIED else Trouble.WRONG
                trouble = Trouble.MISSING if status in MISSING else trouble
                raise SourceError(f"{where} answers {says}", trouble)
            if kind.split(";")[0].strip().lower() in PAGE_TYPES:
                raise SourceError(f"{where} is a web page ({kind:.{REASON}}), not a model file")
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
        """Waits before the next try, or until stop is set.

        Returns what is left of retry; raises Unreachable when it is used up.
        """
        why, where = explain(error, url), hide_secrets(url)
        try:
            left = retry.increment("GET", url, error=error)
        except MaxRetryError:
            raise Unreachable(
                f"{where} failed {len(retry.history) + 1} times: {why}", Trouble.UNREACHABLE
            ) from None
        seconds = max(left.get_backoff_time(), getattr(error, "wait", 0.0))
        if seconds:
            self.notice(f"{where}: {why}; trying again in {seconds:.0f} s")
        (stop or threading.Event()).wait(seconds)
        return left
