"""An address -> who asks there, and the servers that may be told. Knows no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import requests
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url, get_netrc_auth

from gpt2_sampler.fetching.address import origin

Login = Callable[[requests.PreparedRequest], requests.PreparedRequest]
UPGRADE = (("http", 80), ("https", 443))


def login_of(url: str, tokens: Mapping[tuple[str, str, int], str]) -> Login:
    """The token for this server, else the name and password in its address, else those in
    ~/.netrc, which requests would prefer to the others."""
    if token := tokens.get(origin(url)):
        return bearer(token)
    named = get_auth_from_url(url)
    login = named if any(named) else get_netrc_auth(url)
    return HTTPBasicAuth(*login) if login else nobody


def bearer(token: str) -> Login:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign


def nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Sends no credentials, whatever ~/.netrc has."""
    return request


def is_same(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    """Whether they are the same server, which may have moved from http to https."""
    return one == other or (one[1] == other[1] and (one[::2], other[::2]) == UPGRADE)
