"""Bounds for what a vocabulary's own rules may do to a text. Knows no vocabulary.

tokenizer.json may hold regular expressions, which can take longer than anybody waits, and
replacements, which can make gigabytes of one letter.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

from gpt2_sampler.errors import CheckpointError

MAX_GROWTH = 100
"""Characters that a vocabulary's own rules may make of one, beside Unicode's."""
LONGEST_OF_UNICODE = 33
"""Bytes of the 18 characters that Unicode's forms make of U+FDFA, more than of any other."""

T = TypeVar("T")


def finish_within(seconds: float, work: Callable[[], T]) -> T:
    """Returns what work returns. Raises concurrent.futures.TimeoutError if that takes longer: the
    work then goes on in its own thread, which ends with the process."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result(seconds)


def require_bounded(saved: Mapping[str, Any]) -> None:
    """Raises CheckpointError for rules of tokenizer.json that may make a short text endless."""
    for name in ("normalizer", "decoder"):
        times = growth(saved.get(name) or {})
        if times > MAX_GROWTH:
            raise CheckpointError(
                f"its {name} may make a text {times:.2g} times as long, more than {MAX_GROWTH}"
            )
    if '"Regex"' in json.dumps(saved.get("decoder")):
        raise CheckpointError("its decoder has a regular expression, which may take for ever")


def growth(rule: Mapping[str, Any]) -> float:
    """Returns how many characters a normalizer or a decoder may make of one. Unicode's own forms,
    which make 18 at most however often they are applied, count as 1."""
    rules = [*(rule.get("normalizers") or ()), *(rule.get("decoders") or ())]
    times = math.prod(map(growth, rules))
    if "prepend" in rule:
        times *= 1 + len(rule["prepend"])
    if "pattern" in rule and "content" in rule:
        old, new = rule["pattern"].get("String"), len(rule["content"])
        times *= max(1, new / len(old)) if old else 1 + new
    if charsmap := rule.get("precompiled_charsmap"):
        times *= max(1, longest_replacement(charsmap) / LONGEST_OF_UNICODE)
    return times


def longest_replacement(charsmap: str) -> int:
    """Returns the size in bytes of the longest text in SentencePiece's table of replacements: a
    trie, the size of which comes first, and texts with a zero after each."""
    try:
        raw = base64.b64decode(charsmap)
    except binascii.Error:
        return 0  # which the library refuses
    texts = raw[4 + int.from_bytes(raw[:4], "little") :]
    return max(map(len, texts.split(b"\0")))
