"""A server's answer -> what it says about the file. Knows no network."""

from __future__ import annotations

import dataclasses
import re

import requests

from gpt2_sampler.fetching.address import hide_secrets


@dataclasses.dataclass(frozen=True)
class Remote:
    """A file as its server describes it: its length in bytes, if known; a validator that changes
    with the content, such as an ETag; its MD5 in base64; whether HTTP would reveal that the file
    was cut short (framed), and whether parts of it can be requested (ranges)."""

    url: str
    length: int | None
    validator: str | None
    md5: str | None
    framed: bool
    ranges: bool

    @property
    def public_url(self) -> str:
        return hide_secrets(self.url)


def remote_of(url: str, response: requests.Response) -> Remote:
    headers = response.headers
    plain = headers.get("Content-Encoding", "identity") == "identity"
    said = re.fullmatch(r"[0-9]{1,18}", headers.get("Content-Length", ""))
    length = int(said[0]) if said else None
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
