"""Jobs -> their records, in order, from one engine. Knows no files.

A row is refilled as soon as its text ends, whichever prompt comes next; complete records wait for
those before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gpt2_sampler.corpus.jobs import Job, Plan
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.request import END_OF_TEXT, Request, Token
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.decoding.text import SampleText
from gpt2_sampler.tokenizer.load import Tokenizer

Record = dict[str, Any]
"""id, ended, length and text are named as in the sets that OpenAI published."""
AHEAD = 1024  # records that may wait for an earlier one, about 10 MB
DIGITS = 4  # of a log-probability, in nats
DESCRIBING = ("prompt", "seed", "sample", "settings", "left_out", "error")
"""The fields of a record that are known before its text is written."""
FAILED = "error"
"""What a record without a text has in the place of why its text ended."""


class Piece(NamedTuple):
    """The result of one step of a run."""

    tokens: int
    """How many were drawn since the last piece."""
    records: list[Record]
    """The next ones in order, if any are complete."""


def write(batch: Batch, tokenizer: Tokenizer, jobs: Iterable[Job], plan: Plan) -> Iterator[Piece]:
    """Raises what Batch.step raises."""
    waiting = iter(jobs)
    samplings: dict[Sampling, Sampling] = {}  # equal ones as one object, by which a batch groups
    texts: dict[int, Text] = {}
    done: dict[int, Record] = {}
    begun = written = 0
    while True:
        while len(batch) < batch.rows and begun < written + AHEAD:
            job = next(waiting, None)
            if job is None:
                break
            if job.problem:
                done[begun] = failed(job)
            else:
                sampling = samplings.setdefault(job.sampling, job.sampling)
                texts[begun] = Text(begun, job, sampling, tokenizer, plan)
                batch.add(texts[begun].sample.request)
            begun += 1
        if not texts and not done:
            return
        tokens = batch.step()
        for token in tokens:
            place = token.request.id
            assert isinstance(place, int)
            text = texts[place]
            text.add(token)
            if text.sample.ended:
                if not token.ended:
                    batch.cancel(place)
                done[place] = texts.pop(place).record()
        ready = list[Record]()
        while written in done:
            ready.append(done.pop(written))
            written += 1
        yield Piece(len(tokens), ready)


class Text:
    """The text of a job, while it is written."""

    def __init__(
        self, place: int, job: Job, sampling: Sampling, tokenizer: Tokenizer, plan: Plan
    ) -> None:
        self.job = job
        self._plan = plan
        self._logprobs: list[float] = []
        request = Request(
            id=place,
            tokens=job.tokens,
            stream=job.stream,
            sampling=sampling,
            length=job.length,
            ends=plan.ends,
            top=0 if plan.logprobs else None,
        )
        self.sample = SampleText(request, tokenizer, plan.stops)

    def add(self, token: Token) -> None:
        self.sample.add(token)
        if token.choice is not None and token.ended != END_OF_TEXT:
            self._logprobs.append(round(token.choice.logprob, DIGITS))

    def record(self) -> Record:
        sample = self.sample
        sample.take()
        own = {"tokens": sample.tokens} if self._plan.tokens else {}
        logprobs = {"logprobs": self._logprobs} if self._plan.logprobs else {}
        return {
            "id": self.job.id,
            "ended": sample.ended == END_OF_TEXT,
            "length": len(sample.tokens),
            "text": sample.text,
            **described(self.job),
            "why": sample.ended,
            **own,
            **logprobs,
        }


def failed(job: Job) -> Record:
    """The record of a job that cannot be carried out."""
    text = {"id": job.id, "ended": False, "length": 0, "text": ""}
    return {**text, **described(job), "why": FAILED}


def described(job: Job) -> Record:
    """The fields that a job determines: a record with other values belongs to another job."""
    error = {"error": job.problem} if job.problem else {}
    left_out = {"left_out": job.left_out} if job.left_out else {}
    settings = {"settings": dict(job.settings)} if job.settings else {}
    prompt = {} if job.prompt is None else {"prompt": job.prompt}
    return {**prompt, "seed": job.seed, "sample": job.sample, **settings, **left_out, **error}
