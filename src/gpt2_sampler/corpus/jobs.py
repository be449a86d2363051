"""Prompts or sample numbers -> jobs, the records to write. Knows no model, only its tokenizer.

The random numbers of a text depend on its seed, its sample number and its prompt's tokens, and so
not on which line the prompt is on.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gpt2_sampler.corpus.prompts import COUNTS, IN_BODY, OWN, Id, Prompt
from gpt2_sampler.decoding.request import stream_of
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.decoding.text import encode_prompt
from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.limits import check_limits
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.weights.hparams import HParams

LONG = ("tail", "error")
"""What to do with a prompt that is longer than the window: keep its last tokens, or refuse it."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run writes: the settings that all its records share."""

    seed: int
    first: int
    """The number of the first sample, of each prompt if there are prompts."""
    samples: int
    """How many, of each prompt if there are prompts; 0 for no end."""
    length: int
    sampling: Sampling
    stops: tuple[str, ...] = ()
    ends: frozenset[int] = frozenset()
    on_long: str = LONG[0]
    special_tokens: bool | None = None
    """Whether names of special tokens in a prompt stand for those tokens; see Tokenizer.encode."""
    tokens: bool = False
    logprobs: bool = False


@dataclasses.dataclass(frozen=True)
class Job:
    """A record to write: what its text is made from, or why there cannot be one."""

    id: Id
    sample: int
    seed: int
    tokens: Sequence[int]
    """The tokens that the text goes on from."""
    length: int
    sampling: Sampling
    prompt: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    left_out: int = 0
    """How many tokens at the beginning of the prompt do not fit the window."""
    problem: str = ""
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What else the prompt's line has."""

    @property
    def stream(self) -> tuple[int, ...]:
        return stream_of(self.seed, self.sample, () if self.prompt is None else self.tokens)


def out_of_nothing(start: int, plan: Plan) -> Iterator[Job]:
    """Samples without a prompt, after the token that starts a text. Their ids are their numbers."""
    stop = plan.first + plan.samples
    numbers = range(plan.first, stop) if plan.samples else itertools.count(plan.first)
    for number in numbers:
        yield Job(number, number, plan.seed, (start,), plan.length, plan.sampling)


def after_prompts(
    prompts: Iterable[Prompt], plan: Plan, tokenizer: Tokenizer, hparams: HParams
) -> Iterator[Job]:
    """The samples of each prompt. Their ids are the prompt's own, or else its number from 0 on."""
    ids = Ids()
    for number, prompt in enumerate(prompts):
        id, problem = ids.give(number, prompt.id)
        wrong = prompt.problem or problem
        checked = dataclasses.replace(prompt, problem=wrong) if problem else prompt
        job = of_prompt(checked, plan, tokenizer, hparams, id)
        for later in range(1 if job.problem else plan.samples):
            yield dataclasses.replace(job, sample=plan.first + later) if later else job


class Ids:
    """Gives each prompt its own id or, if it has none, a number that no other prompt has."""

    def __init__(self) -> None:
        self._own = set[Id]()
        self._counted = set[Id]()
        self._next = 0
        """No number from this one on was counted."""
        self._as_text: bool | None = None
        """Whether numbers are given as texts, since the first prompt's id is one."""

    def give(self, number: int, own: Id | None) -> tuple[Id, str]:
        """A prompt's number in the file and the id it has -> its id, and what is wrong with it."""
        if self._as_text is None:
            self._as_text = isinstance(own, str)
        if own is not None and own not in self._counted:
            self._own.add(own)
            return own, ""
        free = max(number, self._next)
        while (id := str(free) if self._as_text else free) in self._own:
            free += 1
        self._next = free + 1
        self._counted.add(id)
        taken = "" if own is None else f"its id {own!r:.40} is the number of a prompt without one"
        return id, taken


def of_prompt(
    prompt: Prompt, plan: Plan, tokenizer: Tokenizer, hparams: HParams, id: Id = 0
) -> Job:
    """Its first sample."""
    job = Job(
        id,
        plan.first,
        plan.seed,
        (),
        plan.length,
        plan.sampling,
        prompt.text,
        prompt.settings,
        extra=prompt.extra,
    )
    try:
        if prompt.problem:
            raise UsageError(prompt.problem)
        if job.settings:
            job = with_settings(job)
        tokens = encode_prompt(prompt.text, tokenizer, hparams.n_vocab, plan.special_tokens)
        left_out = max(0, len(tokens) - hparams.n_ctx)
        if left_out and plan.on_long == "error":
            raise UsageError(
                f"the prompt has {len(tokens)} tokens, more than the model's window of "
                f"{hparams.n_ctx}"
            )
    except (UsageError, CheckpointError) as error:  # the latter where the vocabulary fails on it
        return dataclasses.replace(job, settings={}, problem=f"line {prompt.line}: {error}")
    return dataclasses.replace(job, tokens=tuple(tokens[-hparams.n_ctx :]), left_out=left_out)


def with_settings(job: Job) -> Job:
    """The job with its own settings applied. Raises UsageError for an impossible one."""
    for name, value in job.settings.items():
        if name not in OWN:
            near = IN_BODY.get(name) or next(iter(difflib.get_close_matches(name, OWN, n=1)), None)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(OWN)}"
            raise UsageError(f"there is no setting {name!r:.40}; {hint}")
        if name in COUNTS:
            check_limits(name, value)
    direct = {name: value for name, value in job.settings.items() if name in COUNTS}
    drawing = {name: value for name, value in job.settings.items() if name not in COUNTS}
    if drawing:
        direct["sampling"] = dataclasses.replace(job.sampling, **drawing)
    return dataclasses.replace(job, **direct)
