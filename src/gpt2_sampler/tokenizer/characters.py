"""meta.pkl, as nanoGPT prepares text by characters -> text <-> token ids, one a character.

Knows no model. The pickle is read as data: nothing in it is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.files import read_bytes
from gpt2_sampler.pickles import Pickle
from gpt2_sampler.tokenizer.byte_level import LONE_SURROGATE
from gpt2_sampler.tokenizer.tokenizer import Tokenizer

FILE_NAME = "meta.pkl"
START = "\n"
"""What nanoGPT's own sampler begins with."""
UNKNOWN = "\ufffd"
MAX_SIZE = 1 << 24  # bytes; a vocabulary of 20,000 characters has 400,000


class Characters(Tokenizer):
    """A tokenizer from a vocabulary, character -> token id. It has no special tokens and no end of
    text."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self.ids = dict(ids)
        self.characters = {number: LONE_SURROGATE.sub(UNKNOWN, c) for c, number in ids.items()}
        self.n_vocab = self.n_learned = max(self.characters) + 1
        self.start_of_text = self.ids.get(START)

    def _encode(self, text: str, special_tokens: bool) -> list[int]:
        if unknown := sorted(set(text) - self.ids.keys()):
            shown = "".join(unknown[:10])
            raise UsageError(
                f"{shown!r} cannot be written: the model knows {len(self.ids)} characters only"
            )
        return [self.ids[character] for character in text]

    def _decode_bytes(self, tokens: list[int]) -> bytes:
        text = "".join([self.characters.get(token, UNKNOWN) for token in tokens])
        return text.encode("utf-8", "replace")

    def stream(self, before: Sequence[int] = ()) -> CharacterStream:
        return CharacterStream(self)


class CharacterStream:
    """The Stream of Characters."""

    def __init__(self, vocabulary: Characters) -> None:
        self.vocabulary = vocabulary

    def push(self, token: int) -> str:
        return self.vocabulary.decode([token])

    def finish(self) -> str:
        return ""


def load_characters(path: Path) -> Characters:
    """Raises CheckpointError for a file that is not nanoGPT's."""
    content = read_bytes(path, limit=MAX_SIZE)
    try:
        meta = Pickle(content, {}).load()
        ids = meta.get("stoi") if isinstance(meta, dict) else None
        if not isinstance(ids, dict) or not ids:
            raise ValueError("it has no stoi")
        if not all(type(number) is int and 0 <= number < 1 << 32 for number in ids.values()):
            raise ValueError("its stoi gives other things than numbers")
        if len(set(ids.values())) < len(ids):
            raise ValueError("its stoi gives two characters the same number")
        if not all(type(character) is str and len(character) == 1 for character in ids):
            raise ValueError("its stoi is not by characters")
        return Characters(ids)
    except ValueError as error:
        raise CheckpointError(
            f"{path} is not what nanoGPT writes for a vocabulary of characters ({error})", file=path
        ) from None
