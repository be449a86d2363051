"""What a signal raises, however it comes out of what was going on -> the signal that it was."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from gpt2_sampler.cli.session.process import Terminated, signal_behind

RAISED = [
    (KeyboardInterrupt(), signal.SIGINT),
    (Terminated(signal.SIGTERM), signal.SIGTERM),
    (ValueError(), 0),
]
if hasattr(signal, "SIGHUP"):
    RAISED.append((Terminated(signal.SIGHUP), signal.SIGHUP))


def chained(error: BaseException) -> Exception:
    """As native modules do it, whose import a signal breaks off."""
    try:
        raise ImportError("initialization failed") from error
    except ImportError as made:
        return made


def suppressed(error: BaseException) -> Exception:
    """As code does it that says in its own words what it cannot import."""
    try:
        try:
            raise chained(error)
        except ImportError:
            raise ValueError("it needs a package") from None
    except ValueError as made:
        return made


@pytest.mark.parametrize("wrapped", [lambda error: error, chained, suppressed])
@pytest.mark.parametrize(("raised", "number"), RAISED)
def test_a_signal_is_found_behind_the_error_that_a_module_made_of_it(
    wrapped: Callable[[BaseException], BaseException], raised: BaseException, number: int
) -> None:
    assert signal_behind(wrapped(raised)) == number
