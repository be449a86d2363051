"""A folder's address -> the addresses of its files, and the part of an address that may be shown.

An address can contain secrets: a name and password before the host, a signature in the query.
Knows no network.
"""

from __future__ import annotations

from urllib.parse import SplitResult, quote, urlsplit

PORTS = {"http": 80, "https": 443}
SECRET = "***"


def split(address: str) -> SplitResult:
    """Raises ValueError for an address from which no file can be fetched."""
    parts = urlsplit(address)
    if parts.scheme not in PORTS or not parts.hostname or not address.isprintable():
        raise ValueError("neither https:// nor http:// and a host")
    _ = parts.port  # raises ValueError
    if " " in address:
        raise ValueError("a space in it")
    return parts


def below(base: str, *names: str, query: str = "") -> str:
    """The address of base/name/name, with the query of the base, which is often a signature."""
    parts = urlsplit(base)
    path = "/".join((parts.path.rstrip("/"), *(quote(name, safe="") for name in names)))
    return parts._replace(
        path=path, query="&".join(filter(None, (parts.query, query))), fragment=""
    ).geturl()


def hide_secrets(address: str) -> str:
    """The address without its secrets."""
    try:
        parts = split(address)
    except ValueError:  # before an @ there may be a password that contains a slash
        _, at, rest = address.rpartition("@")
        rest, mark, _ = rest.partition("?")
        return (SECRET + at) * bool(at) + rest + (mark + SECRET) * bool(mark)
    _, at, host = parts.netloc.rpartition("@")
    return parts._replace(
        netloc=(SECRET + at) * bool(at) + host, query=SECRET * bool(parts.query), fragment=""
    ).geturl()


def host_of(address: str) -> str:
    """The host of an address, and its port if it has one."""
    return split(address).netloc.rpartition("@")[2]


def origin(address: str) -> tuple[str, str, int]:
    """Scheme, host and port, which tell servers apart. Raises ValueError."""
    parts = split(address)
    return parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme]
