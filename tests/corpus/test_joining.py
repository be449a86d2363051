"""An address that leads to no cluster is a mistake, told soon and in words."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gpt2_sampler.corpus import joining
from gpt2_sampler.corpus.joining import explain, find_mode, join, require_answer
from gpt2_sampler.errors import SamplerError, UsageError

ADDRESS = "first:6379"


def test_an_address_where_nobody_listens_is_a_mistake_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UsageError, match=f"no Ray cluster at {address}"):
        require_answer(address)
    with pytest.raises(UsageError, match=r"is for Ray's client; give first:6379"):
        require_answer("ray://first:10001")
    for impossible in ("a..b:1", f"{'x' * 70}.org:1", f"here:{'9' * 5000}"):
        with pytest.raises(UsageError, match="there is no Ray cluster at"):
            require_answer(impossible)


@pytest.mark.parametrize("address", ["", "here", ":6379", "here:", "here:port", "here:-1"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(UsageError, match=f"is HOST:PORT, or local, not '{address}'"):
        require_answer(address)


def test_a_port_that_is_not_rays_is_told_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(joining, "PATIENCE", 2)
    before = dict(os.environ)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"at {address} .what answers there is not Ray"):
            join(address)
    assert os.environ.get("RAY_AUTH_MODE") == before.get("RAY_AUTH_MODE")


def test_without_ray_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpt2_sampler.packages.is_installed", lambda package: False)
    with pytest.raises(SamplerError, match="ray, which is not installed") as no:
        join(ADDRESS)
    assert no.value.facts == {"package": "ray"}


def test_another_version_and_a_machine_outside_are_told_in_words() -> None:
    said = (
        "RuntimeError: Version mismatch: The cluster was started with:\n"
        "    Ray: 2.58.1\n    Python: 3.11.7\n"
        "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"
    )
    assert str(explain(ADDRESS, said)) == (
        "the cluster at first:6379 has Ray 2.58.1 and Python 3.11.7, this machine has Ray 2.60.0 "
        "and Python 3.12.1; they must be the same"
    )
    outside = explain(ADDRESS, "RuntimeError: none of these match this node's IP 10.0.0.9.\n")
    assert str(outside) == "this machine is not in the cluster at first:6379; ray start joins it"
    assert "(OSError: x)" in str(explain(ADDRESS, "Traceback\n  File\nOSError: x\n"))


REFUSAL = "gcs_client.cc: Unauthenticated: token is missing or incorrect"


@pytest.mark.parametrize(
    ("cluster", "machine", "mode"),
    [
        (None, None, "disabled"),
        (None, "a", "disabled"),
        ("a", "a", "token"),
        ("a", None, "has a token, this machine has none"),
        ("a", "b", "has another token than this machine"),
    ],
)
def test_a_cluster_is_joined_as_it_is_with_a_token_or_without(
    cluster: str | None,
    machine: str | None,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    if machine:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text(machine)

    def attempt(address: str, mode: str) -> str:
        shown = machine if mode == "token" else None
        return "" if cluster in (None, shown) else REFUSAL

    monkeypatch.setattr(joining, "attempt", attempt)
    if mode in ("disabled", "token"):
        assert find_mode(ADDRESS) == mode
    else:
        with pytest.raises(UsageError, match=mode):
            find_mode(ADDRESS)
