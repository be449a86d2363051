"""What commands that write many samples can be asked for, checked. Knows no files and no models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from gpt2_sampler.cli.flags import flag
from gpt2_sampler.cli.settings import SPECIAL_TOKENS, Settings, WriterSettings
from gpt2_sampler.corpus.jobs import LONG
from gpt2_sampler.errors import UsageError


@dataclasses.dataclass(frozen=True)
class CorpusSettings(Settings):
    """Of commands that write many samples."""

    batch_size: int | None = flag(
        None,
        "samples written at the same time, by default as many as are worth it; never changes what "
        "they say",
        "N",
    )
    output: str | None = flag(
        None,
        "write records to this file, .jsonl, .jsonl.gz or .parquet; the same command again goes on "
        "where it ends",
        "FILE",
    )
    first: int = flag(0, "the number of the first sample", "K")
    tokens: bool = flag(False, "records have their tokens")
    logprobs: bool = flag(False, "records have the log-probability of each token")
    ray: str | None = flag(
        None,
        "write on the machines of a Ray cluster, HOST:PORT, or local for one of this machine",
        "ADDRESS",
    )
    quiet: bool = flag(False, "no progress bar, and no line when a run goes on or is complete")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tokens", "logprobs"):
            if getattr(self, name) and self.output is None:
                raise UsageError(f"--{name} is for records; add --output FILE")
        if (self.output or "").endswith(".parquet") and self.nsamples == 0:
            raise UsageError("a Parquet file has an end; say how many samples with --nsamples")

    @property
    def rows(self) -> int:
        """0 for as many as are worth it."""
        return self.batch_size or 0

    @property
    def makes_records(self) -> bool:
        """Whether many samples are wanted soon rather than each one as it is written."""
        return self.output is not None or self.ray is not None

    def lowest(self) -> Mapping[str, int]:
        return {**super().lowest(), "first": 0}


@dataclasses.dataclass(frozen=True)
class GenerateSettings(CorpusSettings, WriterSettings):
    """Writes samples out of nothing, one after another, to stdout or a file.

    For text that reads well, try: --top_k 40 --temperature 0.7
    """

    nsamples: int = flag(0, "samples to write, 0 for no end", "N")
    length: int | None = flag(None, "tokens in a sample, by default the model's window", "N")

    @property
    def rows(self) -> int:
        """One sample at a time can be read as it is written; in a file nobody reads along."""
        rows = self.batch_size or (0 if self.makes_records else 1)
        return min(rows, self.nsamples or rows)

    def lowest(self) -> Mapping[str, int]:
        return {**super().lowest(), "nsamples": 0}


@dataclasses.dataclass(frozen=True)
class ConditionalSettings(CorpusSettings):
    """Continues the prompts of a file, or of stdin: many at the same time, in order.

    Each line is a prompt, or a JSON object (.jsonl) with "prompt" and, if wanted, "id" and settings
    of its own: seed, length, temperature, top_k, top_p, repetition_penalty, no_repeat_ngram.
    """

    prompts: str = flag("-", "the file of prompts, also without --prompts; - for stdin", "FILE")
    separator: str | None = flag(
        None, "prompts have several lines each; one that is this text stands between two", "TEXT"
    )
    jsonl: bool = flag(False, "lines are JSON objects, whatever the file's name ends in")
    on_long: str = flag(
        "tail", "tail takes the end of a prompt longer than the window, error takes none of it", "W"
    )
    special_tokens: bool | None = flag(None, SPECIAL_TOKENS)
    length: int | None = flag(None, "tokens in a sample, by default half the model's window", "N")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_long not in LONG:
            raise UsageError(f"--on_long must be one of {', '.join(LONG)}, not {self.on_long!r}")
        if self.separator is not None and self.jsonl:
            raise UsageError("--separator and --jsonl exclude each other; give one of them")

    def sample_length(self, window: int) -> int:
        return self.length or max(1, window // 2)
