"""A GGUF file brings its own vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpt2_sampler import load_tokenizer
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer.byte_level import load_encoder
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
        ({"model": "gpt2", "tokens": ["a"], "merges": []}, "lacks"),
    ],
)
def test_one_of_another_kind_is_told(metadata: dict[str, object], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        ggml_tokenizer({f"tokenizer.ggml.{name}": value for name, value in metadata.items()})
