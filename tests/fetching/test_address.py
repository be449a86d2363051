"""What an address shows of itself, and what it never shows."""

from __future__ import annotations

import pytest

from gpt2_sampler.errors import UsageError
from gpt2_sampler.fetching.address import below, hide_secrets
from gpt2_sampler.fetching.fetch_model import BASE_URL_VARIABLE, base_urls_of


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://host:8443/a/b", "https://host:8443/a/b"),
        ("https://name:secret@host/a", "https://***@host/a"),
        ("https://secret@host", "https://***@host"),
        ("https://name:sec@ret@host/@a", "https://***@host/@a"),
        ("https://host/a?sig=secret&se=1#secret", "https://host/a?***"),
        ("https://host?secret", "https://host?***"),
        ("https://name:sec/ret@host/a", "***@host/a"),
        ("https://name:sec?ret@host/a?x=secret", "***@host/a?***"),
        ("name:secret@host/a", "***@host/a"),
        ("htps://name:secret@host/a?secret", "***@host/a?***"),
        ("117N", "117N"),
    ],
)
def test_what_is_shown_of_an_address_has_no_secrets(address: str, safe: str) -> None:
    assert hide_secrets(address) == safe


def test_names_are_joined_to_the_path_and_the_query_stays() -> None:
    base = "https://n:p@host/models/?sv=1&sig=a%2Fb/"
    expected = "https://n:p@host/models/117M/a%20b.json?sv=1&sig=a%2Fb/"
    assert below(below(base, "117M"), "a b.json") == expected
    assert below("https://host", "x", query="blobs=true") == "https://host/x?blobs=true"
    assert below("https://host?sig=1", "x", query="b=2") == "https://host/x?sig=1&b=2"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["http://a/,https://b"], ["http://a/", "https://b"]),
        (["http://a?x=1,2"], ["http://a?x=1,2"]),
        ([" http://a ,", "http://b"], ["http://a", "http://b"]),
    ],
)
def test_several_addresses_are_told_apart(given: list[str], expected: list[str]) -> None:
    assert base_urls_of(given) == expected


@pytest.mark.parametrize(
    "address",
    [
        "ftp://n:secret@host",
        "https://n:secret@",
        "https://n:secret@host:port",
        "n:secret@host",
        "https://n:secret@ho st/",
        "https://[::1",
        "https://host/\x1b[2J",
    ],
)
def test_an_address_that_cannot_be_is_named_without_its_secrets(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BASE_URL_VARIABLE, address)
    with pytest.raises(UsageError, match="is written https://HOST/FOLDER") as caught:
        base_urls_of([])
    assert "secret" not in str(caught.value) and "\x1b" not in str(caught.value)
