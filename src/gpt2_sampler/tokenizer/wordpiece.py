"""BERT's word pieces -> text, as Chinese GPT-2 models are read. Knows no model and no folder."""

from __future__ import annotations

from collections.abc import Sequence

from gpt2_sampler.tokenizer.library import Subwords, join
from gpt2_sampler.tokenizer.tokenizer import as_ids

CONTINUES = "##"
SHOWN_AS = {"[CLS]": "\n", "[SEP]": "\n", "[MASK]": "", "[PAD]": ""}
"""Chinese GPT-2 models are trained on lines between such tokens."""
CLOSING, OPENING = ".,!?;:%)]}'", "([{$#'"
UNSPACED = (
    (0x2010, 0x2027), (0x2E80, 0x2FFF), (0x3000, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF), (0x20000, 0x323AF),
)  # fmt: skip
"""First and last code points of scripts without spaces, and of their punctuation."""
UNKNOWN = "\ufffd"


class WordPieces(Subwords):
    """A tokenizer of BERT's kind: "##" joins a piece to the one before, and no spaces are written
    around Chinese characters."""

    def _decode_bytes(self, tokens: list[int]) -> bytes:
        return join(self.stream(), tokens).encode()

    def stream(self, before: Sequence[int] = ()) -> PieceStream:
        return PieceStream(self.pieces, before)


class PieceStream:
    """The Stream of WordPieces."""

    def __init__(self, pieces: dict[int, str], before: Sequence[int]) -> None:
        self.pieces = pieces
        self.last = ""
        for token in before[-1:]:
            self.push(token)

    def push(self, token: int) -> str:
        piece = self.pieces.get(as_ids([token])[0], UNKNOWN)
        text = SHOWN_AS.get(piece, piece.removeprefix(CONTINUES) or piece)
        continues = piece.startswith(CONTINUES) and piece != CONTINUES
        spaced = not continues and has_space_between(self.last, text)
        self.last = text or self.last
        return f" {text}" if spaced else text

    def finish(self) -> str:
        return ""


def has_space_between(left: str, right: str) -> bool:
    """Whether a space is written between two words."""
    if not left or not right or left[-1].isspace() or right[0].isspace():
        return False
    if right[0] in CLOSING or left[-1] in OPENING:
        return False
    return not (is_unspaced(left[-1]) or is_unspaced(right[0]))


def is_unspaced(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in UNSPACED)
