"""What all tests share: folders of their own, so that none finds or leaves anything, signals that
end a process, also where the suite runs in the background and ignores them, and patience."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from gpt2_sampler.cli.session.bundled import is_first_of_the_day

# A machine that has other things to do is slow, and nothing is wrong with what it tests.
settings.register_profile("slow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("slow")


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "state"):
            patch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path_factory.mktemp(name)))
        # Modules are compiled once, as for everybody, and not by each command that a test starts.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        is_first_of_the_day("no-kernel")  # stderr is the same with and without a compiler
        yield


@pytest.fixture(scope="session", autouse=True)
def usual_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
