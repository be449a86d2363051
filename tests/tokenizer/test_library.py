"""What a tokenizer.json asks of the library ends, in tokens or in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpt2_sampler.corpus.jobs import Plan, of_prompt
from gpt2_sampler.corpus.prompts import Prompt
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import CheckpointError, SamplerError, UsageError
from gpt2_sampler.tokenizer import library
from gpt2_sampler.tokenizer.load import load_tokenizer
from gpt2_sampler.tokenizer.tokenizer import Tokenizer
from tests.checkpoints import PRIMES

LETTERS = {"a": 0, "b": 1, " ": 2, "!": 3}


def saved(folder: Path, **parts: Any) -> Path:
    """A folder with a tokenizer.json of these parts."""
    model = {"type": "BPE", "vocab": LETTERS, "merges": []}
    content = {"version": "1.0", "model": model, "normalizer": None, "pre_tokenizer": None} | parts
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


FORKED = split("(a+)+$")
"""A pattern that has 2**n ways to fail on n letters: the library gives up, and panics."""


def test_a_panic_in_a_text_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(saved(tmp_path, pre_tokenizer=FORKED))
    assert tokenizer.encode("ab") == [0, 1]
    with pytest.raises(CheckpointError) as error:
        tokenizer.encode("a" * 40 + "!")
    assert str(tmp_path / "tokenizer.json") in str(error.value)
    assert "\n" not in str(error.value)
    assert tokenizer.encode("ab") == [0, 1]


def test_a_panic_in_a_set_is_one_record(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(saved(tmp_path, pre_tokenizer=FORKED))
    plan = Plan(0, 0, 1, 5, Sampling())
    job = of_prompt(Prompt(3, "a" * 40 + "!"), plan, tokenizer, PRIMES)
    assert job.problem.startswith(f"line 3: {tmp_path / 'tokenizer.json'}: ")


def panic(*_: object, **__: object) -> None:
    raise type("PanicException", (BaseException,), {})("the words\nof Rust")


class Panicking:
    """The library's tokenizer, where all that is asked of it panics."""

    encode_special_tokens = False
    get_vocab = staticmethod(lambda: {"a": 0})
    get_vocab_size = staticmethod(lambda **_: 1)
    encode_batch_fast = decode = staticmethod(panic)


@pytest.mark.parametrize(
    "ask",
    [
        lambda t: t.encode("a"),
        lambda t: t.decode([0]),
        lambda t: t.decode_bytes([0]),
        lambda t: t.stream([0]),
        lambda t: t.stream(),
    ],
)
def test_a_panic_anywhere_is_one_line(ask: Callable[[Tokenizer], object]) -> None:
    tokenizer = library.Subwords(Panicking(), Path("x/tokenizer.json"))  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=r"^x/tokenizer.json: .*\(the words\)$"):
        ask(tokenizer)


def test_a_panic_while_loading_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tokenizers

    monkeypatch.setattr(tokenizers.Tokenizer, "from_str", staticmethod(panic), raising=False)
    monkeypatch.setattr(tokenizers, "Tokenizer", type("Tokenizer", (), {"from_str": panic}))
    with pytest.raises(CheckpointError, match=r"tokenizer.json: .*\(the words\)$"):
        load_tokenizer(saved(tmp_path))


ODD: dict[str, dict[str, Any]] = {
    "chunks of 0": {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
    "strips all": {"decoder": {"type": "Strip", "content": "a", "start": 2**60, "stop": 2**60}},
    "strips from the end": {"decoder": {"type": "Strip", "content": "a", "start": 3, "stop": 3}},
    "no numbers": {
        "model": {"type": "Unigram", "vocab": [["a", float("nan")], ["b", 0.0]], "unk_id": 0}
    },
    "unknown": {"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": None}},
    "unknown beyond": {"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 7}},
    "no pieces": {"model": {"type": "Unigram", "vocab": [], "unk_id": None}},
    "a table of nothing": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    "a table of itself": {
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": "BAAAAAD/////AAAA"}
    },
    "no table": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "?"}},
    "words without end": {
        "model": {"type": "WordPiece", "vocab": LETTERS, "unk_token": "?",
                  "continuing_subword_prefix": "", "max_input_chars_per_word": 2**60}
    },
    "one number for two": {"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}},
    "a number below 0": {"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}},
    "a number of 70 bits": {"model": {"type": "BPE", "vocab": {"a": 2**70}, "merges": []}},
    "a number of 32 bits": {"model": {"type": "BPE", "vocab": {"a": 2**32 - 1}, "merges": []}},
    "before: -1": {"post_processor": {"type": "BertProcessing", "sep": ["b", 1], "cls": ["a", -1]}},
    "before: 2**70": {
        "post_processor": {"type": "BertProcessing", "sep": ["b", 1], "cls": ["a", 2**70]}
    },
    "deep": {"normalizer": json.loads('{"type":"Sequence","normalizers":[' * 300 + "]}" * 300)},
}  # fmt: skip


@pytest.mark.parametrize("parts", ODD.values(), ids=ODD)
def test_whatever_is_asked_for_ends_in_tokens_or_one_line(
    parts: dict[str, Any], tmp_path: Path
) -> None:
    try:
        tokenizer = load_tokenizer(saved(tmp_path, **parts))
        tokens = tokenizer.encode("ab aab! \ufdfa天")
        assert all(0 <= token < tokenizer.n_vocab for token in tokens)
        tokenizer.decode(tokens)
        tokenizer.decode([0, 0, 0])
    except SamplerError as error:
        assert "\n" not in str(error)


def test_a_text_that_the_vocabulary_cannot_write_is_the_users_to_change(tmp_path: Path) -> None:
    pieces = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}
    with pytest.raises(UsageError, match="cannot be written in the model's tokens"):
        load_tokenizer(saved(tmp_path, model=pieces)).encode("b")
