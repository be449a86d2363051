"""What every tokenizer is asked: text to token ids and back. Knows no vocabulary and no file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from operator import index
from typing import Protocol

from gpt2_sampler.errors import UsageError, brief


class Stream(Protocol):
    """Decodes one token after another. All that it returns, joined, is the text of all tokens, and
    each part of it is whole characters."""

    def push(self, token: int) -> str:
        """Returns the characters that are complete with this token, perhaps none."""

    def finish(self) -> str:
        """Returns what the last tokens left incomplete, U+FFFD where it is part of a character."""


class Tokenizer(ABC):
    """Turns text into a model's token ids and back.

        >>> tokenizer = load_tokenizer("models/117M")
        >>> tokenizer.encode("Hello world")
        [15496, 995]
        >>> tokenizer.decode([15496, 995])
        'Hello world'

    n_vocab is one more than the highest id; n_learned leaves out tokens that were added after
    training. start_of_text and end_of_text are the ids of what a text begins after and ends with,
    None where the vocabulary has no such token. A text ends at any id of ends.
    """

    n_vocab: int
    n_learned: int
    start_of_text: int | None = None
    end_of_text: int | None = None
    ends: frozenset[int] = frozenset()
    special_tokens = True
    """Whether encode takes the names of special tokens for those tokens unless it is told."""
    before: tuple[int, ...] = ()
    """The tokens that encode puts before each text, as the model's own library does."""

    def encode(self, text: str, *, special_tokens: bool | None = None) -> list[int]:
        """Returns the ids of the text's tokens.

        special_tokens says what a special token's name in the text stands for: True for that token,
        False for the characters that it is written in, None for whichever is usual with this
        vocabulary. GPT-2's own takes names for characters:

            >>> tokenizer.encode("<|endoftext|>")
            [27, 91, 437, 1659, 5239, 91, 29]
            >>> tokenizer.encode("<|endoftext|>", special_tokens=True)
            [50256]

        Raises UsageError for what is no text or cannot be written in the vocabulary, and
        CheckpointError, with the file's name, where the vocabulary's own rules fail on it.
        """
        if not isinstance(text, str):
            raise UsageError(f"text must be a str, not {brief(text)} ({type(text).__name__})")
        if special_tokens is None:
            special_tokens = self.special_tokens
        elif not isinstance(special_tokens, bool):
            raise UsageError(
                f"special_tokens must be True, False or None, not {brief(special_tokens)}"
            )
        return [*self.before, *self._encode(text, special_tokens)]

    def decode(self, tokens: Iterable[int]) -> str:
        """Returns the text of token ids. Bytes that are no UTF-8 become U+FFFD.

        An id from n_vocab on, which a model whose vocabulary was rounded up can choose, is no
        mistake: it is shown as U+FFFD, or as nothing where the library tokenizers decodes.

        Raises UsageError for what is no sequence of whole numbers from 0 up.
        """
        return self.decode_bytes(tokens).decode("utf-8", "replace")

    def decode_bytes(self, tokens: Iterable[int]) -> bytes:
        """Returns the bytes that decode makes text of. In byte-level vocabularies, GPT-2's among
        them, a token may be a part of a character:

            >>> tokenizer.decode_bytes([8582])
            b'\\xf0\\x9f\\x99'

        Raises UsageError as decode does.
        """
        return self._decode_bytes(as_ids(tokens))

    @abstractmethod
    def stream(self, before: Sequence[int] = ()) -> Stream:
        """Returns a decoder for one token after another; before are the tokens that the text stands
        after, on which its first space may depend.

            >>> stream = tokenizer.stream()
            >>> [stream.push(token) for token in [8582, 25081]]
            ['', '🙂']
        """

    @abstractmethod
    def _encode(self, text: str, special_tokens: bool) -> list[int]: ...

    @abstractmethod
    def _decode_bytes(self, tokens: list[int]) -> bytes: ...


def as_ids(tokens: Iterable[int]) -> list[int]:
    """Token ids that a caller gave, Python's numbers or NumPy's, as a list. Raises UsageError."""
    try:
        if isinstance(tokens, (str, bytes, bytearray)):
            raise TypeError
        ids = list(map(index, tokens))
    except TypeError:
        raise UsageError(f"tokens must be whole numbers, not {brief(tokens)}") from None
    if ids and min(ids) < 0:
        raise UsageError(f"tokens must be numbers from 0 up, not {brief(min(ids))}")
    return ids
