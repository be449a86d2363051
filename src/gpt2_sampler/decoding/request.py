"""What is asked of a batch, and what comes back: a request, its tokens one by one.

Knows no engine and no rows.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Hashable, Iterable, Sequence, Sized
from typing import Any, NamedTuple

from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import UsageError, brief, iterate, require_kind
from gpt2_sampler.limits import Limits, check_ids, check_limits, is_whole

END_OF_TEXT, LENGTH_REACHED = "end of text", "length reached"
"""Why a request ended."""
UNCHANGED = Sampling()


@dataclasses.dataclass(frozen=True)
class Request:
    """A text to go on with, and how; or one that is only read, to be told how likely it is.

    Raises UsageError, by the name of the field, for a value that makes no sense.

    >>> Request("a", [464, 3290], stream=(7, 0), sampling=Sampling(top_k=40), length=20)
    >>> Request("b", [464, 3290, 318], tell_from=1, top=5)  # reads, and tells of 3290 and 318
    """

    id: Hashable
    tokens: Sequence[int]
    """1 or more: the prompt, and what was drawn of the text before."""
    stream: tuple[int, ...] = ()
    """Whose noise decides what is drawn; see stream_of. Whole numbers from 0 on, 1 or more of
    them unless nothing is drawn."""
    sampling: Sampling = UNCHANGED
    length: int = 0
    """New tokens at most. With 0 the request's own tokens are read and told, and none is drawn."""
    ends: frozenset[int] = frozenset()
    """Tokens with which the text ends."""
    drawn: int = 0
    """How many draws of the stream were made before: the last of the tokens come from these, and
    the noise goes on at the place after them."""
    top: int | None = None
    """How many of the likeliest tokens are told beside each token that was drawn, 0 for that one
    alone. None tells nothing, at no cost."""
    tell_from: int | None = None
    """The first of the request's own tokens that is told like a drawn one, 1 or more; None for
    none of them."""

    def __post_init__(self) -> None:
        for name, low, optional in (
            ("length", 0, False),
            ("drawn", 0, False),
            ("top", 0, True),
            ("tell_from", 1, True),
        ):
            value = getattr(self, name)
            if value is not None or not optional:
                number = check_limits(f"a request's {name}", value, Limits(low))
                object.__setattr__(self, name, number)
        require_kind("a request's id", self.id, Hashable, "hashable")
        require_kind("a request's tokens", self.tokens, Sized, "a sequence of token ids")
        require_kind("a request's sampling", self.sampling, Sampling, "a Sampling")
        if not isinstance(self.stream, tuple) or (self.length and not self.stream):
            raise UsageError(f"a stream is of whole numbers from 0 on, not {brief(self.stream)}")
        object.__setattr__(self, "stream", tuple(map(as_seed, self.stream)))
        object.__setattr__(self, "ends", as_ends(self.ends))
        if self.length == 0 and (self.tell_from or len(self.tokens)) >= len(self.tokens) > 0:
            raise UsageError(
                "a request of length 0 must tell some of its own tokens: give it a length of 1 or "
                f"more, or a tell_from below its {len(self.tokens)} tokens"
            )


class Choice(NamedTuple):
    """A token and its log-probabilities in nats: the model's own, and that of the distribution
    that was drawn from, after penalties, temperature, top-k and top-p: -inf for what these left
    out."""

    id: int
    logprob: float
    filtered: float
    rank: int
    """Of the token for the model, 1 for the likeliest; of equals the first one is likelier."""


class Token(NamedTuple):
    """A token of a request that a step drew, or that it was asked to tell."""

    request: Request
    id: int
    ended: str
    """"" while the text goes on, else END_OF_TEXT or LENGTH_REACHED."""
    choice: Choice | None = None
    """Of this token, where the request asked for it."""
    top: tuple[Choice, ...] = ()
    """Of the likeliest tokens for the model, the likeliest first."""
    drawn: bool = True
    """False for one of the request's own tokens."""


def stream_of(seed: int, sample: int, prompt: Sequence[int] = ()) -> tuple[int, ...]:
    """The stream of random numbers that a sample is drawn with: (seed, sample), with a hash of the
    prompt's tokens between them. Samples out of nothing have no prompt. With the hash, prompts of
    one seed do not share their noise, which would favour the same tokens at the same places.

    The hash is the first 8 bytes, as a little-endian number, of the SHA-256 of the tokens in
    decimal, separated by spaces.

    >>> stream_of(7, 0)
    (7, 0)
    """
    if not prompt:
        return seed, sample
    digest = hashlib.sha256(" ".join(map(str, prompt)).encode()).digest()
    return seed, int.from_bytes(digest[:8], "little"), sample


def as_seed(number: Any) -> int:
    if not is_whole(number, 0):
        raise UsageError(f"a stream is of whole numbers from 0 on, not {brief(number)}")
    return int(number)


def as_ends(ends: Iterable[int]) -> frozenset[int]:
    found = list(iterate("ends", ends, "token ids"))
    for one in found:
        if not is_whole(one):
            raise UsageError(f"ends must be token ids, not {brief(one)}")
    return frozenset(map(int, found))


def check_tokens(tokens: Iterable[Any], n_vocab: int) -> list[int]:
    """The token ids of a text that a caller gives. Raises UsageError if there are none, or one that
    the model does not have."""
    ids = check_ids(tokens, n_vocab)
    if not ids:
        raise UsageError("there must be at least one token to go on from; there is none")
    return ids
