"""A package that is not there is named in one line, and as a fact."""

from __future__ import annotations

import sys

import pytest

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.packages import is_installed, require


def test_what_is_not_installed_is_named_with_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CheckpointError, match="it needs h5py, which is not installed") as error:
        require("h5py", "it needs", CheckpointError)
    assert error.value.facts == {"package": "h5py"}


def test_what_is_installed_passes_and_is_not_imported() -> None:
    sys.modules.pop("this", None)
    require("this", "it needs")
    assert is_installed("this") and "this" not in sys.modules
