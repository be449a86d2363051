"""Hugging Face's tokenizer.json or BERT's vocab.txt -> text <-> token ids, through the library
tokenizers. Knows no model and no folder.

Unlike in OpenAI's vocabulary spaces are not part of tokens here: they are put between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from gpt2_sampler.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONTINUES = "##"
SHOWN_AS = {"[CLS]": "\n", "[SEP]": "\n", "[MASK]": "", "[PAD]": ""}
"""Chinese GPT-2 models are trained on lines between such tokens."""
CLOSING, OPENING = ".,!?;:%)]}'", "([{$#'"
UNSPACED = (
    (0x2010, 0x2027), (0x2E80, 0x2FFF), (0x3000, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF), (0x20000, 0x323AF),
)  # fmt: skip
"""First and last code points of scripts without spaces, and of their punctuation."""
INCOMPLETE = "\ufffd"
WINDOW = 8  # tokens that a token's text may depend on
TIDIED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""What transformers writes without its spaces where clean_up_tokenization_spaces is set."""
UNDECIDED = re.compile(r" (?:n'?|'[vr]?)?$")
"""How one of them may begin."""


class Stream(Protocol):
    def push(self, token: int) -> str: ...

    def finish(self) -> str: ...


class Subwords:
    """A vocabulary of Hugging Face's, with the methods of Encoder. before is what stands before
    each text."""

    special_tokens = True
    tidies = False
    start_of_text: int | None = None
    end_of_text: int | None = None
    ends: frozenset[int] = frozenset()

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()) -> None:
        self.tokenizer, self.before = tokenizer, list(before)
        self.pieces = {token: piece for piece, token in tokenizer.get_vocab().items()}
        if not self.pieces:
            raise CheckpointError("it has no tokens")
        self.n_vocab = max(self.pieces) + 1
        self.n_learned = tokenizer.get_vocab_size(with_added_tokens=False)

    def token_id(self, name: str) -> int | None:
        return self.tokenizer.token_to_id(name)

    def encode(self, text: str, *, special_tokens: bool | None = None) -> list[int]:
        """special_tokens: a special token's name in the text is that token, not text."""
        # A lone surrogate counts as U+FFFD; the library refuses it.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        as_tokens = self.special_tokens if special_tokens is None else special_tokens
        self.tokenizer.encode_special_tokens = not as_tokens
        try:
            return self.before + self.tokenizer.encode(text, add_special_tokens=False).ids
        except Exception as error:  # the library raises Exception itself
            raise UsageError(
                f"the text cannot be written in the model's tokens ({str(error).splitlines()[0]})"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        if not self.tidies:
            return self.tokenizer.decode(list(ids), skip_special_tokens=False)
        return joined(self.stream(), ids)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        return self.decode(ids).encode()

    def stream(self, before: Sequence[int] = ()) -> Stream:
        """Decodes one token after another; before are those that the text stands after."""
        stream = LibraryStream(self.tokenizer, before)
        return TidyStream(stream) if self.tidies else stream


def joined(stream: Stream, ids: Iterable[int]) -> str:
    return "".join([stream.push(token) for token in ids]) + stream.finish()


class LibraryStream:
    """Decodes through the library, which says only what a whole text is: what a token adds is
    the difference that it makes to the text of the few before it."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.window = list(before[-WINDOW:])  # tokens
        self.given = len(self._decode(self.window))  # characters of the window's text

    def push(self, token: int) -> str:
        self.window.append(token)
        text = self._decode(self.window)
        settled = len(text.rstrip(INCOMPLETE))  # what follows may be a character's first bytes
        new = text[self.given : settled]
        self.given = max(self.given, settled)
        if settled == len(text) and len(self.window) > 2 * WINDOW:
            self._shorten(text)
        return new

    def finish(self) -> str:
        return self._decode(self.window)[self.given :]

    def _shorten(self, text: str) -> None:
        """Forgets the first tokens, where those after them mean the same without them."""
        recent = self.window[-WINDOW:]
        shorter = self._decode(recent)
        if text.endswith(shorter):
            self.window, self.given = recent, len(shorter)

    def _decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False)


class TidyStream:
    """Takes the spaces from before punctuation and contractions."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.waiting = ""  # the end of the text, which the next token may change

    def push(self, token: int) -> str:
        text = self._tidy(self.stream.push(token))
        waiting = UNDECIDED.search(text)
        at = waiting.start() if waiting else len(text)
        self.waiting = text[at:]
        return text[:at]

    def finish(self) -> str:
        return self._tidy(self.stream.finish())

    def _tidy(self, new: str) -> str:
        text = self.waiting + new
        for spaced_out in TIDIED:
            text = text.replace(spaced_out, spaced_out.strip())
        return text


class WordPieces(Subwords):
    """BERT's: "##" joins a piece to the one before; no spaces around Chinese characters."""

    def decode(self, ids: Iterable[int]) -> str:
        return joined(self.stream(), ids)

    def stream(self, before: Sequence[int] = ()) -> Stream:
        return PieceStream(self.pieces, before)


class PieceStream:
    def __init__(self, pieces: dict[int, str], before: Sequence[int]) -> None:
        self.pieces = pieces
        self.last = ""
        for token in before[-1:]:
            self.push(token)

    def push(self, token: int) -> str:
        piece = self.pieces.get(token, INCOMPLETE)
        text = SHOWN_AS.get(piece, piece.removeprefix(CONTINUES) or piece)
        joined = (piece.startswith(CONTINUES) and piece != CONTINUES) or not spaced(self.last, text)
        self.last = text or self.last
        return text if joined else f" {text}"

    def finish(self) -> str:
        return ""


def spaced(left: str, right: str) -> bool:
    """Whether a space is written between two words."""
    if not left or not right or left[-1].isspace() or right[0].isspace():
        return False
    if right[0] in CLOSING or left[-1] in OPENING:
        return False
    return not (unspaced(left[-1]) or unspaced(right[0]))


def unspaced(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in UNSPACED)
