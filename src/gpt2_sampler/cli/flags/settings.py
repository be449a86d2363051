"""The flags of commands that load a model -> checked settings. Knows no files and no models.

Classes that others are made of are no settings by themselves, so they get no methods: making those
takes time at each start.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import re
from typing import Any, TypeVar

from gpt2_sampler.cli.flags.fields import check_flags, flag, kinds
from gpt2_sampler.cli.flags.parser import reader
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.engines.load import DEVICES, PRECISIONS
from gpt2_sampler.errors import UsageError, brief

DRAFTS = ("auto", "int8", "off")
SPECIAL_TOKENS = (
    "read <|endoftext|>, [CLS] and the like in a text as those tokens, or as ordinary text with "
    "--nospecial_tokens; by default as tokens for a Hugging Face folder, as text for OpenAI's"
)
CHECKPOINT = "of a fine-tuning run: latest, or a step's number"
MODELS_DIR = "where models are kept; by default ./models, or else your data folder"
VERBOSE = "show the messages of the libraries underneath"
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}


@dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)
class SamplingSettings:
    """The flags that say how samples are drawn; a session can change them."""

    group = "samples:"

    seed: int | None = flag(
        None, "the same seed gives the same samples; without it one is chosen and shown", "N"
    )
    nsamples: int = flag(1, "samples for each prompt", "N")
    batch_size: int | None = flag(
        1, "samples drawn at the same time; changes the speed, never the text", "N"
    )
    length: int | None = flag(
        None,
        "tokens in a sample; by default the model's window, or half of it after a prompt",
        "N",
    )
    temperature: float = flag(
        1.0, "below 1 more predictable, above 1 wilder, 0 always the likeliest token", "T"
    )
    top_k: int = flag(0, "draw from the K likeliest tokens; 0 for all; 40 is good", "K")
    top_p: float = flag(1.0, "draw from the fewest tokens that make up P; 1 for all", "P")
    min_p: float = flag(
        0.0, "leave out tokens below P times the likeliest one's probability", "P", rare=True
    )
    repetition_penalty: float = flag(
        1.0,
        "above 1 makes tokens that are in the text already less likely; try 1.1",
        "R",
        rare=True,
    )
    no_repeat_ngram: int = flag(
        0, "never repeat N tokens in a row; 0 allows it; 4 ends most loops", "N", rare=True
    )
    presence_penalty: float = flag(
        0.0, "above 0 makes tokens less likely that were drawn since the prompt", "R", rare=True
    )
    frequency_penalty: float = flag(0.0, "the same, each time that they were drawn", "R", rare=True)
    logit_bias: str | None = flag(
        None, "raise or lower single tokens, as '{\"50256\": -100}'", "JSON", rare=True
    )
    stop: tuple[str, ...] = flag(
        (), r"end a sample before this text (\n is a line break); can be repeated", "TEXT"
    )
    ignore_eot: bool = flag(False, "go on past the end of a text, into another one", rare=True)

    @property
    def sampling(self) -> Sampling:
        names = [one.name for one in dataclasses.fields(Sampling) if one.name != "logit_bias"]
        drawing = {name: getattr(self, name) for name in names}
        return Sampling(**drawing, logit_bias=read_bias(self.logit_bias))

    @property
    def rows(self) -> int:
        """Samples drawn at the same time."""
        rows = self.batch_size or 1
        return min(rows, self.nsamples or rows)

    @property
    def stop_texts(self) -> list[str]:
        # Words of a command line are UTF-8 even where the locale, and so Python, thinks otherwise.
        texts = [
            text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in self.stop
        ]
        return [re.sub(r"\\[nt\\]", lambda found: ESCAPES[found[0]], text) for text in texts]


@dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)
class ShowSettings:
    """The flags that say how samples look at a terminal; a session can change them."""

    group = "at a terminal:"

    color: bool = flag(False, "color each token by its rank and probability")
    nowrap: bool = flag(False, "do not wrap lines at words", rare=True)


@dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)
class ModelSettings:
    """The flags that say what to load and how to run it."""

    group = "the model:"

    model_name: str | None = flag(
        None,
        "name or path, by default 117M or else a bundled model; a path is that of a "
        "folder of OpenAI's, of a fine-tuning run or of Hugging Face's, of nanoGPT's ckpt.pt or "
        "of a GGUF file",
        "NAME",
    )
    checkpoint: str | None = flag(None, CHECKPOINT, "STEP", rare=True)
    models_dir: str | None = flag(None, MODELS_DIR, "DIR", rare=True)
    device: str = flag("auto", "auto, cpu or gpu", "DEVICE", choices=DEVICES)
    precision: str = flag(
        "float32",
        "float32 (exact) or int8; int8 is faster, in less than half the memory",
        "P",
        choices=PRECISIONS,
    )
    threads: int | None = flag(
        None, "CPU threads, by default one for each physical core", "N", rare=True
    )
    verbose: bool = flag(False, VERBOSE, rare=True)

    def __post_init__(self) -> None:
        check_flags(self)

    def cache(self, window: int) -> tuple[int, int]:
        """What the model must have room for: how many texts at the same time, 0 for as many as
        are worth it, and how many tokens of each."""
        return 1, window


@dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)
class Settings(ModelSettings, SamplingSettings):
    """Every flag that all sampling commands have. Raises UsageError for an impossible value."""

    draft: str = flag(
        "auto",
        "int8: the model's int8 copy guesses what float32 checks, several tokens at once; NAME: a "
        "smaller model of the same vocabulary does, in int8; off; auto: int8 where that is faster; "
        "never changes a text",
        "D",
        rare=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            _ = self.sampling
        except UsageError as error:  # it begins with the name of the field
            raise UsageError(f"--{error}") from None
        if "" in self.stop:
            raise UsageError("--stop takes the text to stop at; it was empty")

    def sample_length(self, window: int) -> int:
        """Tokens in a sample of a model with this window, in tokens."""
        return self.length or window

    def most_tokens(self, window: int) -> float:
        """How many tokens are written at most, inf where that is not known."""
        return (self.nsamples or math.inf) * self.sample_length(window)

    def cache(self, window: int) -> tuple[int, int]:
        return self.rows, self.sample_length(window)


@dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)
class WriterSettings(ShowSettings, Settings):
    """The flags of commands that show a sample as it is written."""


@dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)
class PromptSettings(Settings):
    """The flags of commands that continue prompts."""

    group = "prompts:"

    special_tokens: bool | None = flag(None, SPECIAL_TOKENS, rare=True)

    def sample_length(self, window: int) -> int:
        return self.length or max(1, window // 2)


@dataclasses.dataclass(frozen=True)
class InteractiveSettings(WriterSettings, PromptSettings):
    """Asks for a prompt, continues it, and asks again; in a pipe, each line is a prompt. For text
    that reads well, try: --top_k 40 --temperature 0.7

    At the prompt, /help shows what else can be typed.
    """

    group = "prompts:"

    prompt: str | None = flag(
        None, "continue this text and exit; - takes all of stdin as one prompt", "TEXT"
    )
    prompt_file: str | None = flag(None, "continue the text in this file and exit", "FILE")

    def most_tokens(self, window: int) -> float:
        one = self.prompt is not None or self.prompt_file is not None
        return super().most_tokens(window) if one else math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompt is not None and self.prompt_file is not None:
            raise UsageError("give either --prompt or --prompt_file, not both")


def read_bias(text: str | None) -> dict[int, float]:
    """--logit_bias: a JSON object of numbers by token ids. Raises UsageError for anything else."""
    try:
        return {int(id): value for id, value in json.loads(text or "{}").items()}
    except (ValueError, AttributeError, RecursionError):
        raise UsageError(f'logit_bias takes JSON as {{"50256": -100}}, not {brief(text)}') from None


AnySettings = TypeVar("AnySettings", bound=Settings)


def change(settings: AnySettings, name: str, word: str) -> AnySettings:
    """The settings with one of the changeable flags set to a value, given as text; "" stands for
    its default. Raises UsageError for any other flag and for an impossible value."""
    fields = {field.name: field for field in dataclasses.fields(settings)}
    names = [field.name for field in changeable()]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise UsageError(f"{brief(name)} cannot be set here; {hint}")
    value: Any = reader(name, kinds(type(settings))[name])(word) if word else fields[name].default
    return dataclasses.replace(settings, **{name: value})


def changeable() -> list[dataclasses.Field[Any]]:
    return [*dataclasses.fields(SamplingSettings), *dataclasses.fields(ShowSettings)]


def list_changeable(settings: WriterSettings) -> str:
    """The flags that can be changed, with their values, one a line."""
    lines = []
    for field in changeable():
        value = getattr(settings, field.name)
        if isinstance(value, tuple):
            value = "  ".join(value)
        lines.append(f"{field.name:20}{'' if value is None else value}".rstrip())
    return "\n".join(lines)
