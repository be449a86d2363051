"""tokenizer.json -> text <-> token ids, through the library tokenizers. Knows no model and no
folder."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from gpt2_sampler.errors import CheckpointError, UsageError, first_line
from gpt2_sampler.tokenizer.bounds import finish_within
from gpt2_sampler.tokenizer.tokenizer import Stream, Tokenizer, as_ids

if TYPE_CHECKING:
    import tokenizers

PATIENCE = 20.0  # seconds that a text may take, and for each of its characters:
PATIENCE_OF_CHARACTER = 1e-4  # the library takes a hundredth of that
INCOMPLETE = "\ufffd"
WINDOW = 8  # tokens that a token's text may depend on
TIDIED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""What transformers writes without its spaces where clean_up_tokenization_spaces is set."""
UNDECIDED = re.compile(r" (?:n'?|'[vr]?)?$")
"""The end of a text that may be the beginning of one of them."""


@contextlib.contextmanager
def library_errors(file: Path) -> Iterator[None]:
    """The errors of the library, which raises Exception itself. Where it panics, it raises what is
    no Exception: that is a CheckpointError, as the file asks for what the library cannot do."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise CheckpointError(
            f"{file}: the library tokenizers fails on it ({first_line(error)})"
        ) from None


class Subwords(Tokenizer):
    """A tokenizer that the library has read from file. before is what stands before each text."""

    tidies = False
    """Whether spaces before punctuation are left out."""

    def __init__(
        self, library: tokenizers.Tokenizer, file: Path, before: Sequence[int] = ()
    ) -> None:
        self.library, self.file, self.before = library, file, tuple(before)
        self._lock = Lock()  # the library's setting is one for all threads
        self.pieces = {token: piece for piece, token in library.get_vocab().items()}
        if not self.pieces:
            raise CheckpointError("it has no tokens")
        self.n_vocab = max(self.pieces) + 1
        self.n_learned = library.get_vocab_size(with_added_tokens=False)

    def token_id(self, name: str) -> int | None:
        return self.library.token_to_id(name)

    def _encode(self, text: str, special_tokens: bool) -> list[int]:
        # A lone surrogate counts as U+FFFD; the library refuses it.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        patience = PATIENCE + PATIENCE_OF_CHARACTER * len(text)
        try:
            with library_errors(self.file), self._lock:
                if self.library.encode_special_tokens == special_tokens:
                    self.library.encode_special_tokens = not special_tokens
                # Of the library's ways to encode the one that lets other threads run meanwhile.
                return finish_within(patience, lambda: self._ids(text))
        except CheckpointError:
            raise
        except futures.TimeoutError:
            raise CheckpointError(
                f"{self.file}: to split a text of {len(text):,} characters into tokens takes more "
                f"than {patience:.0f} seconds by its rules"
            ) from None
        except Exception as error:
            raise UsageError(
                f"the text cannot be written in the model's tokens ({first_line(error)})"
            ) from None

    def _ids(self, text: str) -> list[int]:
        return self.library.encode_batch_fast([text])[0].ids

    def _decode_bytes(self, tokens: list[int]) -> bytes:
        if self.tidies:
            return join(self.stream(), tokens).encode()
        return self.decode_all(tokens).encode()

    def decode_all(self, tokens: Sequence[int]) -> str:
        """Returns the library's text of tokens, without those that it does not know."""
        known = [token for token in tokens if token in self.pieces]
        with library_errors(self.file):
            return self.library.decode(known, skip_special_tokens=False)

    def stream(self, before: Sequence[int] = ()) -> Stream:
        stream = LibraryStream(self, before)
        return TidyStream(stream) if self.tidies else stream


def join(stream: Stream, tokens: Iterable[int]) -> str:
    """Returns all that a stream makes of tokens."""
    return "".join([stream.push(token) for token in tokens]) + stream.finish()


class LibraryStream:
    """The Stream of Subwords. The library says only what a whole text is: what a token adds is the
    difference that it makes to the text of the few before it."""

    def __init__(self, tokenizer: Subwords, before: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.window = list(before[-WINDOW:])  # tokens
        self.given = len(self._decode(self.window))  # characters of the window's text

    def push(self, token: int) -> str:
        self.window += as_ids([token])
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

    def _decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode_all(tokens)


class TidyStream:
    """A Stream without another's spaces before punctuation and contractions."""

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
