"""The flags of commands that write many samples -> checked settings. Knows no files, no models."""

from __future__ import annotations

import dataclasses
import sys

from gpt2_sampler.cli.flags.fields import flag
from gpt2_sampler.cli.flags.settings import PromptSettings, Settings, WriterSettings
from gpt2_sampler.corpus.jobs import LONG
from gpt2_sampler.errors import UsageError


@dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)
class CorpusSettings(Settings):
    """The flags of commands that write many samples."""

    group = "sets of samples:"

    batch_size: int | None = flag(
        None,
        "samples drawn at the same time, by default as many as are worth it; changes the speed, "
        "never the text",
        "N",
    )
    output: str | None = flag(
        None,
        "write records to this file (.jsonl, .jsonl.gz or .parquet); the same command run again "
        "resumes where the file ends",
        "FILE",
    )
    first: int = flag(0, "the number of the first sample", "K", rare=True)
    tokens: bool = flag(False, "add each sample's tokens to its record", rare=True)
    logprobs: bool = flag(False, "add the log-probability of each token", rare=True)
    ray: str | None = flag(
        None,
        "run on a Ray cluster: its HOST:PORT, or local to start one on this machine",
        "ADDRESS",
        rare=True,
    )
    quiet: bool = flag(
        False, "no progress bar, and no message about resuming or completion", rare=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tokens", "logprobs"):
            if getattr(self, name) and self.output is None:
                raise UsageError(f"--{name} is for records; add --output FILE")
        if (self.output or "").endswith(".parquet") and self.nsamples == 0:
            raise UsageError("a Parquet file must end; say how many samples with --nsamples")

    @property
    def rows(self) -> int:
        """0 for as many as are worth it."""
        return self.batch_size or 0

    @property
    def makes_records(self) -> bool:
        """Whether as many samples as possible are wanted soon, rather than one to read along."""
        return self.output is not None or self.ray is not None

    @property
    def shows_progress(self) -> bool:
        return sys.stderr.isatty() and not self.quiet


@dataclasses.dataclass(frozen=True)
class GenerateSettings(CorpusSettings, WriterSettings):
    """Writes samples without a prompt, one after another, to stdout or a file. For text that reads
    well, try: --top_k 40 --temperature 0.7
    """

    nsamples: int = flag(0, "samples to write, 0 for no end", "N", lowest=0)

    @property
    def rows(self) -> int:
        """On a terminal, one sample at a time, which can be read while it is written."""
        rows = self.batch_size or (0 if self.makes_records else 1)
        return min(rows, self.nsamples or rows)


@dataclasses.dataclass(frozen=True)
class ConditionalSettings(CorpusSettings, PromptSettings):
    """Continues the prompts of a file, or of stdin: many at the same time, in order.

    Each line is a prompt, or (.jsonl) a JSON object with "prompt" and optionally "id" and its own
    seed, length, temperature, top_k, top_p, repetition_penalty or no_repeat_ngram. Lines of batch
    files, with "custom_id" and "body", are read too; other columns come back under "extra".
    """

    group = "prompts:"

    prompts: str = flag("-", "the file of prompts, also without --prompts; - for stdin", "FILE")
    separator: str | None = flag(
        None, "several lines make a prompt; a line that is just TEXT ends it", "TEXT"
    )
    jsonl: bool = flag(False, "read JSON objects, whatever the file's name ends in", rare=True)
    on_long: str = flag(
        "tail",
        "of a prompt longer than the window, tail keeps the end, error writes a record "
        "that says so",
        "tail|error",
        choices=LONG,
        rare=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.separator is not None and self.jsonl:
            raise UsageError("give either --separator or --jsonl, not both")
