"""A GGUF file brings its own vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpt2_sampler import load_tokenizer
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, load_encoder
from gpt2_sampler.tokenizer.ggml import ggml_tokenizer
from tests.checkpoints import PRIMES, byte_vocabulary, random_weights
from tests.gguf_files import write_gguf


def test_it_is_openais(tmp_path: Path) -> None:
    plain = load_encoder(byte_vocabulary(tmp_path))
    tokens = list(json.loads((tmp_path / "encoder.json").read_text()))
    (tmp_path / "alone").mkdir()
    path = tmp_path / "alone" / "x.gguf"
    write_gguf(path, PRIMES, random_weights(PRIMES), "F32", tokens, ["t h"])
    for given in (path, path.parent):
        tokenizer = load_tokenizer(given)
        assert tokenizer.encode("the thing 天") == plain.encode("the thing 天")
        assert tokenizer.encode("a<|endoftext|>") == [*plain.encode("a"), 257]
        assert tokenizer.encode("<|endoftext|>", special_tokens=False) == plain.encode(
            "<|endoftext|>"
        )
        assert tokenizer.decode([116, 256, 257]) == plain.decode([116, 256, 257])
        assert (tokenizer.end_of_text, tokenizer.start_of_text, tokenizer.ends) == (257, 257, {257})


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({}, "its vocabulary is a None"),
        ({"model": "bert"}, "its vocabulary is a bert"),
        ({"model": "gpt2", "pre": "llama-bpe"}, "its vocabulary is a llama-bpe"),
        ({"model": "gpt2"}, "no vocabulary of tokens and merges"),
        ({"model": "gpt2", "tokens": ["a"], "merges": [], "token_type": [1, 1]}, "1 tokens and"),
        ({"model": "gpt2", "tokens": ["a"], "merges": [], "token_type": "x"}, "no list of whole"),
        ({"model": "gpt2", "tokens": ["a"], "merges": [], "token_type": ["x"]}, "no list of whole"),
        ({"model": "gpt2", "tokens": ["a"], "merges": [], "token_type": [1.5]}, "no list of whole"),
        ({"model": "gpt2", "tokens": ["a"], "merges": [], "token_type": 1}, "no list of whole"),
        ({"model": "gpt2", "tokens": ["a"], "merges": []}, "lacks"),
    ],
)
def test_one_of_another_kind_is_told(metadata: dict[str, object], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        ggml_tokenizer({f"tokenizer.ggml.{name}": value for name, value in metadata.items()})


@pytest.mark.parametrize("number", [-1, 256, 2**70, 1.0, "0", None])
def test_a_number_of_no_token_marks_nothing(number: object) -> None:
    metadata = {"model": "gpt2", "tokens": BYTE_SYMBOLS, "merges": []}
    marks = {"bos_token_id": number, "eos_token_id": number}
    fields = {f"tokenizer.ggml.{name}": value for name, value in {**metadata, **marks}.items()}
    tokenizer = ggml_tokenizer(fields)
    assert (tokenizer.start_of_text, tokenizer.end_of_text, tokenizer.ends) == (None, None, set())


def test_rows_without_a_token_have_no_name() -> None:
    tokens = [*BYTE_SYMBOLS, "<pad>", "<new>", "<end>"]
    types = [1] * 256 + [5, 4, 3]
    metadata = {"model": "gpt2", "tokens": tokens, "merges": [], "token_type": types}
    tokenizer = ggml_tokenizer({f"tokenizer.ggml.{name}": v for name, v in metadata.items()})
    assert len(tokenizer.encode("<pad>")) == len("<pad>")
    assert tokenizer.encode("<new><end>") == [257, 258]
    assert tokenizer.encode("<new><end>", special_tokens=False)[0] == 257
    assert len(tokenizer.encode("<new><end>", special_tokens=False)) == 1 + len("<end>")


@pytest.mark.parametrize(("asked", "before"), [(True, [7]), (False, []), (None, []), ("yes", [])])
def test_a_model_that_wants_its_start_before_each_text_gets_it(
    asked: object, before: list[int]
) -> None:
    metadata = {"model": "gpt2", "tokens": BYTE_SYMBOLS, "merges": [], "bos_token_id": 7}
    metadata["add_bos_token"] = asked
    tokenizer = ggml_tokenizer({f"tokenizer.ggml.{n}": value for n, value in metadata.items()})
    assert tokenizer.encode("A") == [*before, ord("A")]
