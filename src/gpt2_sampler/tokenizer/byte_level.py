"""Text <-> token ids, by GPT-2's byte-level byte pair encoding (BPE).
Knows no model and no terminal.

Text is split into words. A word's symbols are first its UTF-8 bytes; then neighbours are merged,
always the pair that was learned first (the lowest rank), until no two neighbours are such a pair.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Mapping, Sequence, Sized
from functools import cache, cached_property
from heapq import heappop, heappush
from itertools import chain, islice, pairwise
from operator import sub
from pathlib import Path
from typing import Any

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import read_object, read_text
from gpt2_sampler.tokenizer.tokenizer import Tokenizer

ENCODER_NAME = "encoder.json"
MERGES_NAME = "vocab.bpe"
END_OF_TEXT_NAME = "<|endoftext|>"
UNKNOWN_SYMBOL = "ï¿½"  # the bytes of U+FFFD

# Letters first, as the commonest: no other alternative can begin where they match.
WORD = r" ?\p{L}+|'(?:[stmd]|re|ve|ll)| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
OTHER_WORDS = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
)
"""The same as OpenAI writes it, in 2019 and in tiktoken."""
# All but U+DC80..U+DCFF, in which Python keeps bytes that were no UTF-8 (surrogateescape).
LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")

SHORT_WORD = 64  # bytes; in longer words a heap finds the next pair sooner than a scan
MAX_ADDED = 1 << 15  # tokens that are matched by name: a million of them would take minutes
MAX_CACHED_WORDS = 2**15  # short words only: 4 MB for English, 25 MB at the worst
GONE = " "  # in place of a symbol that was merged into its neighbour; part of no pair


def _byte_symbols() -> list[str]:
    """byte -> the visible character that stands for it in OpenAI's files."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    stand_ins = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(stand_ins)) for byte in range(256)]


BYTE_SYMBOLS = _byte_symbols()
BYTE_OF_SYMBOL = {ord(symbol): byte for byte, symbol in enumerate(BYTE_SYMBOLS)}
NO_SYMBOL = re.compile(f"[^{re.escape(''.join(BYTE_SYMBOLS))} ]")


def _byte_level(text: str) -> list[str]:
    """The symbols of the text's UTF-8 bytes. A lone surrogate counts as U+FFFD."""
    raw = LONE_SURROGATE.sub("\ufffd", text).encode("utf-8", "surrogateescape")
    return [BYTE_SYMBOLS[byte] for byte in raw]


@cache
def _word_pattern() -> Any:
    import regex  # whoever only decodes does not wait for it

    return regex.compile(WORD)


class _WordIds(dict[str, Sequence[int]]):
    """word -> its token ids, merged when first asked for. Short words are remembered."""

    def __init__(self, encoder: dict[str, int], merges: Sequence[str]) -> None:
        super().__init__()
        self._encoder, self._merges = encoder, merges

    @cached_property
    def _ranks(self) -> dict[str, int]:
        return dict(zip(self._merges, range(len(self._merges)), strict=True))

    def __missing__(self, word: str) -> Sequence[int]:
        symbols = _byte_level(word)
        if len(symbols) > SHORT_WORD:
            return [self._encoder[symbol] for symbol in self._merge_long(symbols)]
        if len(self) >= MAX_CACHED_WORDS:
            self.clear()
        ids = self[word] = tuple([self._encoder[symbol] for symbol in self._merge_short(symbols)])
        return ids

    def _merge_short(self, symbols: list[str]) -> list[str]:
        """Scans for the lowest rank each time: quadratic, fast while there is little to scan."""
        rank, never = self._ranks.get, sys.maxsize
        ranks = [rank(f"{left} {right}", never) for left, right in pairwise(symbols)]
        while ranks and (lowest := min(ranks)) != never:
            at = ranks.index(lowest)
            del ranks[at]
            symbols[at] += symbols.pop(at + 1)
            if at > 0:
                ranks[at - 1] = rank(f"{symbols[at - 1]} {symbols[at]}", never)
            if at < len(ranks):
                ranks[at] = rank(f"{symbols[at]} {symbols[at + 1]}", never)
        return symbols

    def _merge_long(self, symbols: list[str]) -> list[str]:
        """The same in n log n: a heap of pairs over a doubly linked list of symbols."""
        size, rank = len(symbols), self._ranks.get
        symbols = [*symbols, GONE]  # at index size, and at -1, so that all have neighbours
        after, before = [*range(1, size + 1), size], [*range(-1, size)]
        heap: list[int] = []  # rank * size + index of the left symbol

        def push(left: int, right: int) -> None:
            if (found := rank(f"{symbols[left]} {symbols[right]}")) is not None:
                heappush(heap, found * size + left)

        for left, right in pairwise(range(size)):
            push(left, right)
        while heap:
            lowest, left = divmod(heappop(heap), size)
            right = after[left]
            if rank(f"{symbols[left]} {symbols[right]}") != lowest:
                continue  # one of the two was merged since
            symbols[left] += symbols[right]
            symbols[right] = GONE
            after[left] = right = after[right]
            before[right] = left
            push(before[left], left)
            push(left, right)
        return [symbol for symbol in symbols if symbol != GONE]


def _invert(encoder: dict[str, int]) -> dict[int, str]:
    ids = encoder.values() if isinstance(encoder, dict) else ()
    if set(map(type, ids)) != {int} or min(ids) < 0 or len(set(ids)) != len(ids):
        raise CheckpointError("the vocabulary must give each token a number of its own, from 0 up")
    return dict(zip(ids, encoder, strict=True))


def _learned_ids(encoder: dict[str, int], merges: Sequence[str]) -> list[int]:
    """The ids of what bytes and merges make. All others are special tokens.

    Asks all merges at once: there are 50,000, and this is a part of each start.
    """
    if strange := NO_SYMBOL.search(" ".join(merges)):
        raise CheckpointError(f"the merges have {strange[0]!r}, which stands for no byte")
    made = "\n".join(merges).replace(" ", "").split("\n") if merges else []
    if set(map(sub, map(len, merges), map(len, made))) - {1}:
        merge = next(merge for merge in merges if merge.count(" ") != 1)
        raise CheckpointError(f"a merge must be of two symbols, not {merge[:40]!r}")
    learned = [*sorted(BYTE_SYMBOLS), *made]
    if list(islice(encoder, len(learned))) == learned:  # as OpenAI writes them
        return list(islice(encoder.values(), len(learned)))
    try:
        return list(map(encoder.__getitem__, learned))
    except KeyError as error:
        symbol = error.args[0][:40]
        raise CheckpointError(f"the vocabulary lacks {symbol!r} of the merges") from None


def _special_symbol(text: str) -> str:
    if text.startswith(BYTE_SYMBOLS[ord(" ")]):  # special tokens are plain text
        raise CheckpointError(f"the merges lack that for {text[:40]!r} of the vocabulary")
    return "".join(_byte_level(text))


def _added_symbol(text: str) -> str:
    """Hugging Face writes such a token in symbols of bytes if it can be read as such."""
    return text if all(ord(c) in BYTE_OF_SYMBOL for c in text) else "".join(_byte_level(text))


def require_few(names: Sized) -> None:
    """Raises CheckpointError for more added tokens than any vocabulary has."""
    if len(names) > MAX_ADDED:
        raise CheckpointError(f"it has {len(names):,} added tokens, more than {MAX_ADDED:,}")


def _any_of(names: Sequence[str]) -> re.Pattern[str] | None:
    """Finds the first name in a text, of those that begin there the longest."""
    if not names:
        return None
    return re.compile(f"({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})")


class Encoder(Tokenizer):
    """A tokenizer from a vocabulary, symbol -> token id, and its merges "left right", the first
    learned first.

    added are the tokens that are matched by name in a text, each with whether it is special; their
    names are then matched by default. Without it only end_of_text is such a token, and its name is
    ordinary text by default. Raises CheckpointError if vocabulary and merges do not fit each other.
    """

    def __init__(
        self,
        encoder: dict[str, int],
        merges: Sequence[str],
        end_of_text: str = END_OF_TEXT_NAME,
        start_of_text: str | None = None,
        *,
        added: Mapping[str, bool] | None = None,
    ) -> None:
        self._symbols = _invert(encoder)
        self._words = _WordIds(encoder, merges)
        self.n_vocab = max(self._symbols) + 1
        self.vocabulary, self.merges = encoder, merges
        self.end_of_text = encoder.get(end_of_text)
        self.start_of_text = encoder.get(start_of_text or end_of_text, self.end_of_text)
        self.ends = frozenset() if self.end_of_text is None else frozenset([self.end_of_text])
        self.special_tokens = added is not None
        if added is None:
            added = {end_of_text: True} if self.end_of_text is not None else {}
        require_few(added)
        self.added = added
        self._names = {  # whether special tokens are matched -> where names stand in a text
            special: _any_of([name for name in added if special or not added[name]])
            for special in (False, True)
        }
        learned = set(_learned_ids(encoder, merges))
        self.n_learned = max(learned) + 1 if self.special_tokens else self.n_vocab
        symbol = _special_symbol if not self.special_tokens else _added_symbol
        for token in self._symbols.keys() - learned:
            self._symbols[token] = symbol(self._symbols[token])

    def token_id(self, name: str) -> int | None:
        return self.vocabulary.get(name)

    def _encode(self, text: str, special_tokens: bool) -> list[int]:
        names = self._names[special_tokens]
        if names is None:
            return self._encode_ordinary(text)
        ids: list[int] = []
        for number, part in enumerate(names.split(text)):  # every second one is a name
            ids += [self.vocabulary[part]] if number % 2 else self._encode_ordinary(part)
        return ids

    def _encode_ordinary(self, text: str) -> list[int]:
        words = _word_pattern().findall(text)
        return list(chain.from_iterable(map(self._words.__getitem__, words)))

    def _decode_bytes(self, tokens: list[int]) -> bytes:
        symbols = "".join([self._symbols.get(token, UNKNOWN_SYMBOL) for token in tokens])
        return symbols.translate(BYTE_OF_SYMBOL).encode("latin-1")

    def stream(self, before: Sequence[int] = ()) -> StreamDecoder:
        """Returns a decoder for one token after another, whatever stands before them: spaces are
        part of the tokens here."""
        return StreamDecoder(self)


class StreamDecoder:
    """The Stream of an Encoder."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        return self._utf8.decode(self._encoder.decode_bytes([token]))

    def finish(self) -> str:
        return self._utf8.decode(b"", final=True)


def load_encoder(folder: Path) -> Encoder:
    """Reads a folder's encoder.json and vocab.bpe. Raises CheckpointError with the file's name."""
    encoder = read_object(folder / ENCODER_NAME)
    merges = parse_merges(read_text(folder / MERGES_NAME))
    try:
        return Encoder(encoder, merges)
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder / ENCODER_NAME} and {MERGES_NAME}: {error}; they are of two models, or one "
            "is damaged",
            file=folder / ENCODER_NAME,
        ) from None


def parse_merges(text: str) -> list[str]:
    lines = text.removesuffix("\n").split("\n")
    return lines[1:] if lines[0].startswith("#version") else lines
