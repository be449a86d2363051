"""Jobs -> their records, in order, from one engine. Knows no files.

A row is refilled as soon as its text ends, whichever prompt comes next; complete records wait for
those before them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gpt2_sampler.corpus.jobs import Job, Plan
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.request import END_OF_TEXT, Request
from gpt2_sampler.decoding.scheduler import Texts, write_in_order
from gpt2_sampler.decoding.text import Text
from gpt2_sampler.tokenizer.load import Tokenizer

Record = dict[str, Any]
"""id, ended, length and text are named as in the sets that OpenAI published. All records of a file
have the same fields, each of one type and never null, as programs that read tables decide by the
first megabytes what a field is. So settings and extra, whose names vary, are JSON in a text."""
LAYOUT = 2
"""Of records with a prompt. Those of the first had fields only where there was something to say."""
AHEAD = 1024  # records that may wait for an earlier one, about 10 MB
DIGITS = 4  # of a log-probability, in nats
DESCRIBING = ("prompt", "seed", "sample", "settings", "extra", "left_out", "error")
"""The fields of a record that are known before its text is written."""
FAILED = "error"
"""What `why` is in a record without a text."""


class Written(NamedTuple):
    """The result of one step of a run."""

    tokens: int
    """How many were drawn since the last one."""
    records: list[Record]
    """The next ones in order, if any are complete."""


def write(batch: Batch, tokenizer: Tokenizer, jobs: Iterable[Job], plan: Plan) -> Iterator[Written]:
    """Writes the texts of the jobs -> what each step has added. Raises what Batch.step raises."""
    begun = deque[Job]()

    def begin() -> Iterator[Text]:
        for place, job in enumerate(jobs):
            begun.append(job)
            yield text_of(job, place, tokenizer, plan)

    texts, n_drawn = Texts(batch), 0
    for pieces in write_in_order(texts, begin(), ahead=AHEAD):
        ended = [piece.text for piece in pieces if piece.ended]
        records = [record_of(begun.popleft(), text, plan) for text in ended]
        yield Written(texts.n_drawn - n_drawn, records)
        n_drawn = texts.n_drawn


def text_of(job: Job, place: int, tokenizer: Tokenizer, plan: Plan) -> Text:
    """The text to be written; one that has ended where the job cannot be carried out."""
    if job.problem:
        nothing = Text(Request(place, [0], (0,), length=1))
        nothing.end(FAILED)
        return nothing
    request = Request(
        id=place,
        tokens=job.tokens,
        stream=job.stream,
        sampling=job.sampling,
        length=job.length,
        ends=plan.ends,
        top=0 if plan.logprobs else None,
    )
    return Text(request, tokenizer, plan.stops)


def record_of(job: Job, text: Text, plan: Plan) -> Record:
    record: Record = {
        "id": job.id,
        "ended": text.ended == END_OF_TEXT,
        "length": len(text.tokens),
        "text": text.characters,
        **describe(job),
        "why": text.ended,
    }
    if plan.tokens:
        record["tokens"] = text.tokens
    if plan.logprobs:
        record["logprobs"] = [round(choice.logprob, DIGITS) for choice in text.choices]
    return record


def is_line_of(line: bytes, job: Job) -> bool:
    """Whether a file's line is the job's record, as far as can be seen without reading its text:
    no text can look like its fields, as quotes in it are escaped. False also for one that says the
    same in another way."""
    fields = ", ".join([f'"{name}": {as_json(value)}' for name, value in describe(job).items()])
    return (
        line.startswith(f'{{"id": {as_json(job.id)}, "ended": '.encode())
        and f'", {fields}, "why": "'.encode() in line
        and line.endswith((b"}", b"}\n"))
        and b"\0" not in line
    )


def as_json(value: Any) -> str:
    """json.dumps, which takes a microsecond and more for a number."""
    return str(value) if type(value) is int else json.dumps(value)


def has_failed(record: Record) -> bool:
    """Whether it has no text but an error."""
    return bool(record.get("error"))


def describe(job: Job) -> Record:
    """The fields that a job determines: a record with other values belongs to another job."""
    if job.prompt is None:
        return {"seed": job.seed, "sample": job.sample}
    return {
        "prompt": job.prompt,
        "seed": job.seed,
        "sample": job.sample,
        "settings": json.dumps(dict(job.settings)) if job.settings else "{}",
        "extra": json.dumps(dict(job.extra)) if job.extra else "{}",
        "left_out": job.left_out,
        "error": job.problem,
    }
