"""The flags of gpt2-score -> checked settings. Knows no texts and no models."""

from __future__ import annotations

import dataclasses

from gpt2_sampler.cli.flags.fields import flag
from gpt2_sampler.cli.flags.settings import SPECIAL_TOKENS, ModelSettings
from gpt2_sampler.errors import UsageError

TOP = 10  # alternatives to each token
COLUMNS = "name", "tokens", "logprob", "perplexity", "bits_per_byte"


@dataclasses.dataclass(frozen=True)
class ScoreSettings(ModelSettings):
    """Prints how likely a model finds a text, token by token: --text, files, or stdin.

    The figures leave out the first token, which has nothing before it unless --bos puts the start
    of text there. logprob is the sum of the tokens' log-probabilities in nats, perplexity the
    exponential of its negative mean, and bits per byte the same sum in bits, divided by the text's
    bytes in UTF-8. A line break at the end of a text is not part of it.
    """

    group = "texts:"

    files: tuple[str, ...] = flag((), "files to score, also without --files; - for stdin", "FILE")
    text: str | None = flag(None, "score this text", "TEXT")
    lines: bool = flag(False, "score each line as a text of its own")
    sort: str | None = flag(
        None,
        "sort several texts by a column, the highest first after a -; columns are "
        f"{', '.join(COLUMNS)}",
        "COLUMN",
    )
    bos: bool = flag(
        False, "score the first token too, after the start of text, which is GPT-2's <|endoftext|>"
    )
    special_tokens: bool | None = flag(None, SPECIAL_TOKENS, rare=True)
    stride: int | None = flag(
        None,
        "how far the window slides through a text that is longer than it, by default half the "
        "window; each token is scored after at least the rest of a window",
        "TOKENS",
        rare=True,
    )
    tokens: bool = flag(False, "a line for each token: log-probability, rank, token")
    words: bool = flag(
        False,
        "a line for each word between white space, with its own punctuation: log-probability, "
        "tokens, word",
    )
    show: bool = flag(False, "the text, colored by rank and probability at a terminal")
    json: bool = flag(False, f"a line of JSON for each text, with {TOP} alternatives to each token")
    html: str | None = flag(None, "write a page to explore and share, in one file", "FILE")
    png: str | None = flag(None, "draw the curve of surprise (needs matplotlib)", "FILE")
    compare_settings: bool = flag(
        False,
        "compare what settings do to the choice of the next token; "
        "the settings are temperature, top_k and top_p",
    )
    nowrap: bool = flag(False, "with --show: do not wrap lines at words", rare=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text is not None and self.files:
            raise UsageError("give either --text or files, not both")
        if self.sort is not None and self.sort.removeprefix("-") not in COLUMNS:
            raise UsageError(f"--sort takes one of {', '.join(COLUMNS)}, not {self.sort!r}")
        if self.compare_settings and (
            self.html or self.png or self.show or self.tokens or self.words
        ):
            raise UsageError("--compare_settings goes with --json only")

    @property
    def alternatives(self) -> int:
        return TOP if self.json or self.html else 0
