"""What transformers makes of a folder is made of it here; long/differential.py runs longer."""

from __future__ import annotations

import pytest

from tests.long.differential import compare

CASES = [
    ("cerebras", "tokenizer_config.json"),
    ("rugpt3", "special_tokens_map.json"),
    ("rinna-converted", "tokenizer_config.json"),
    ("german", "generation_config.json"),
]


@pytest.mark.parametrize(("name", "file"), CASES)
def test_whatever_a_setting_is_nothing_differs_in_silence(name: str, file: str) -> None:
    pytest.importorskip("transformers")
    outcomes = list(compare(name, file))
    assert outcomes[0] == ("nothing", "same")
    unnamed = ("no tokenizer_class", "tokenizer_class=null")
    assert [o for o in outcomes if o[1].startswith("DIFFER") and o[0] not in unnamed] == []
