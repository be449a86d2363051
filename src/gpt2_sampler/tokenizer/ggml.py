"""What a GGUF file says of its vocabulary -> its tokenizer. Knows no file.

llama.cpp stores tokens by their numbers, in GPT-2's symbols of bytes, with the merges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer.byte_level import Encoder

NORMAL, CONTROL, ADDED, UNUSED = 1, 3, 4, 5
"""GGUF's types of tokens: learned, special, added by a user, and rows without a token."""
SPLITTING = (None, "default", "gpt-2")


def ggml_tokenizer(metadata: Mapping[str, Any]) -> Encoder:
    """Raises CheckpointError for a vocabulary that is missing or of another kind."""

    def field(name: str) -> Any:
        return metadata.get(f"tokenizer.ggml.{name}")

    for name, known in (("model", ("gpt2",)), ("pre", SPLITTING)):
        value = field(name)
        if not isinstance(value, (str, type(None))) or value not in known:
            raise CheckpointError(
                f"its vocabulary is a {value!s:.40}, not GPT-2's byte pairs; give the folder that "
                "the file was made of"
            )
    tokens, merges = field("tokens"), field("merges")
    if not isinstance(tokens, list) or not isinstance(merges, list):
        raise CheckpointError("it has no vocabulary of tokens and merges")
    kinds = field("token_type")
    types = np.full(len(tokens), NORMAL) if kinds is None else np.asarray(kinds)
    if types.ndim != 1 or types.dtype.kind not in "iu":
        raise CheckpointError("its types of tokens are no list of whole numbers")
    if len(types) != len(tokens):
        raise CheckpointError(f"it has {len(tokens)} tokens and types for {len(types)}")
    typed = list(zip(tokens, types.tolist(), strict=True))
    vocabulary = {text: number for number, (text, kind) in enumerate(typed) if kind != UNUSED}
    added = {text: kind == CONTROL for text, kind in typed if kind in (CONTROL, ADDED) and text}
    tokenizer = Encoder(vocabulary, merges, added=added)

    def find_number(name: str) -> int | None:
        number = field(f"{name}_token_id")
        return number if type(number) is int and 0 <= number < len(tokens) else None

    end = find_number("eos")
    if end is not None:
        tokenizer.end_of_text, tokenizer.ends = end, frozenset([end])
    start = find_number("bos")
    tokenizer.start_of_text = tokenizer.end_of_text if start is None else start
    if field("add_bos_token") is True and tokenizer.start_of_text is not None:
        tokenizer.before = (tokenizer.start_of_text,)
    return tokenizer
