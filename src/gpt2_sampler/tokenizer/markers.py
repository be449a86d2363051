"""What a folder's files say -> the tokens that a text begins after, and those that end it.

Knows no library, and no files beyond those that declared.py reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer.byte_level import END_OF_TEXT_NAME, Encoder
from gpt2_sampler.tokenizer.declared import GENERATION_NAME, Folder, optional_object
from gpt2_sampler.tokenizer.library import Subwords


def tokens_before(saved: Mapping[str, Any], vocabulary: Mapping[str, int]) -> list[int]:
    """The ids of what tokenizer.json puts before a text, without names that are no tokens."""
    found = added_before(saved.get("post_processor"))
    ids = [vocabulary.get(token) if isinstance(token, str) else token for token in found]
    if strange := [token for token in ids if token not in (None, *vocabulary.values())]:
        raise CheckpointError(f"it puts {strange[0]!r:.40} before a text, which is no token")
    return [token for token in ids if token is not None]


def added_before(processor: Any) -> list[int | str]:
    """The tokens, by number or name, that tokenizer.json puts before a text. What it puts after
    one would end it."""
    if not isinstance(processor, dict):
        return []
    if processor.get("type") == "Sequence":
        # The library adds what the first says, and leaves out the others' tokens.
        return next(filter(None, map(added_before, processor["processors"])), [])
    if processor.get("type") in ("BertProcessing", "RobertaProcessing"):
        return [processor["cls"][1]]
    tokens: list[int | str] = []
    numbers = processor.get("special_tokens") or {}
    for step in processor.get("single") or []:
        if "SpecialToken" not in step:
            break
        name = step["SpecialToken"]["id"]
        tokens += numbers[name]["ids"] if name in numbers else [name]
    return tokens


def mark(tokenizer: Encoder | Subwords, folder: Folder) -> None:
    """Sets what a text begins after and what ends one: by the numbers that the model's settings
    give, else by names, else by guess."""
    generation = optional_object(folder.path / GENERATION_NAME)
    rows = folder.config.get("vocab_size")
    top = max(rows if type(rows) is int else 0, tokenizer.n_vocab)

    def read_ids(kind: str) -> list[int] | None:
        for settings in (generation, folder.config):
            if (key := f"{kind}_token_id") in settings:
                value = settings[key]
                numbers = value if isinstance(value, list) else [value]
                found = [n for n in numbers if type(n) is int and 0 <= n < top]
                return found if found or value is None else None
        return None

    def guess(names: Sequence[str]) -> list[int]:
        ids = (tokenizer.token_id(name) for name in names)
        return [n for n in ids if n is not None][:1]

    usual = folder.usual(
        END_OF_TEXT_NAME, *([] if isinstance(tokenizer, Encoder) else ["[SEP]", "[CLS]"])
    )
    named = guess([*folder.name("eos", "sep"), *usual])
    ends = read_ids("eos")
    ends = named if ends is None else ends
    tokenizer.ends = frozenset(ends)
    tokenizer.end_of_text = next((n for n in (*named, *ends) if n in tokenizer.ends), None)
    starts = read_ids("bos") or guess([*folder.name("bos", "cls"), *folder.usual("[CLS]")])
    tokenizer.start_of_text = starts[0] if starts else tokenizer.end_of_text
