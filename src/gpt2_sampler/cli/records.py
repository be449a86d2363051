"""Jobs -> a file of records, or samples on stdout, with a progress bar.

What gpt2-generate and gpt2-conditional have in common. Knows not where jobs come from.
"""

from __future__ import annotations

import dataclasses
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

import gpt2_sampler
from gpt2_sampler.cli.corpus_settings import ConditionalSettings, CorpusSettings
from gpt2_sampler.cli.loading import Files, find_files, loaded, seeded
from gpt2_sampler.cli.quiet import quiet
from gpt2_sampler.cli.terminal import harmless, notice, show
from gpt2_sampler.cli.writer import CLOSING, header
from gpt2_sampler.corpus.cluster import Source, write_on
from gpt2_sampler.corpus.jobs import Job, Plan
from gpt2_sampler.corpus.run import Meta, Run, check_name, read_meta
from gpt2_sampler.corpus.write import Piece, Record, write
from gpt2_sampler.engines.load import find_device
from gpt2_sampler.files import user_path

AnyCorpus = TypeVar("AnyCorpus", bound=CorpusSettings)
LIBRARIES = ("numpy", "ai-edge-litert", "tensorflow")


def write_records(
    settings: AnyCorpus, jobs_of: Callable[[Files, Plan], Iterable[Job]], prompt: str = ""
) -> None:
    """Writes the records of the jobs to --output, or their texts to stdout. prompt is one of
    them, by whose language a model is chosen if none was asked for."""
    path = None if settings.output is None else user_path(settings.output)
    if path is not None:
        check_name(path)
        settings = with_its_seed(settings, path)
    files = find_files(settings, prompt)
    settings = seeded(settings)
    plan = plan_of(settings, files)
    jobs = jobs_of(files, plan)
    if path is None:
        samples = with_progress(settings, pieces(settings, files, jobs, plan))
        for record in samples:
            tell(record, settings)
        return
    run = Run(path, meta_of(settings, files, plan), jobs)
    if run.done and not run.finished:
        say(settings, f"{path} has {counted(run.done, 'record')}; going on after them")
    if not run.finished:
        written = run.write(pieces(settings, files, run.jobs, plan))
        for record in with_progress(settings, written, run.done):
            complain_of(record)
    run.close()
    say(settings, f"{path} is complete: {counted(run.done, 'record')}")


def with_its_seed(settings: AnyCorpus, path: Path) -> AnyCorpus:
    """With the seed that an earlier run chose, where this one was given none."""
    chosen = (read_meta(path) or {}).get("settings", {}).get("seed")
    if settings.seed is not None or not isinstance(chosen, int):
        return settings
    return dataclasses.replace(settings, seed=chosen)


def plan_of(settings: CorpusSettings, files: Files) -> Plan:
    s = settings
    plan = Plan(
        seed=s.seed or 0,
        first=s.first,
        samples=s.nsamples,
        length=s.sample_length(files.window),
        sampling=s.sampling,
        stops=tuple(s.stop_texts),
        ends=frozenset() if s.ignore_eot else files.encoder.ends,
        tokens=s.tokens,
        logprobs=s.logprobs,
    )
    if isinstance(s, ConditionalSettings):
        return dataclasses.replace(plan, on_long=s.on_long, special_tokens=s.special_tokens)
    return plan


def meta_of(settings: CorpusSettings, files: Files, plan: Plan) -> Meta:
    """What all records of a file share. The settings are those that decide what records say."""
    s, checkpoint = settings, files.checkpoint
    each = {"nsamples": s.nsamples, "on_long": plan.on_long, "special_tokens": plan.special_tokens}
    installed = {library: version(library) for library in LIBRARIES}
    return {
        "model": {"path": str(checkpoint.folder.resolve())}
        | dataclasses.asdict(checkpoint.hparams),
        "settings": {
            "fingerprint": checkpoint.fingerprint,
            "device": device_of(s),
            "precision": s.precision,
            "prompts": isinstance(s, ConditionalSettings),
            **(each if isinstance(s, ConditionalSettings) else {}),
            "seed": plan.seed,
            "first": plan.first,
            "length": plan.length,
            **dataclasses.asdict(plan.sampling),
            "stop": plan.stops,
            "ignore_eot": s.ignore_eot,
            "tokens": plan.tokens,
            "logprobs": plan.logprobs,
        },
        "versions": {"gpt2-sampler": gpt2_sampler.__version__, "python": platform.python_version()}
        | {library: number for library, number in installed.items() if number},
    }


def device_of(settings: CorpusSettings) -> str:
    """cpu or gpu; on a cluster, whose machines differ from this one, a GPU is asked for by name."""
    if settings.ray is None:
        return find_device(settings.device, settings.precision)
    return "gpu" if settings.device == "gpu" else "cpu"


def version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


def pieces(
    settings: CorpusSettings, files: Files, jobs: Iterable[Job], plan: Plan
) -> Iterator[Piece]:
    """From this machine, or from a cluster's."""
    s = settings
    if s.ray is None:
        model = loaded(s, files)
        return write(model.batch(model.rows), files.encoder, jobs, plan)
    source = Source(
        path=str(files.path.resolve()),
        step=s.checkpoint,
        models_dir=None if s.models_dir is None else str(user_path(s.models_dir).resolve()),
        fingerprint=files.checkpoint.fingerprint,
        device=device_of(s),
        precision=s.precision,
        threads=s.threads,
        rows=s.rows,
    )
    return write_on(s.ray, source, jobs, plan)


def with_progress(
    settings: CorpusSettings, pieces: Iterator[Piece], done: int = 0
) -> Iterator[Record]:
    """Their records; at a terminal a bar tells how far it is. done are there from before."""
    total = None if isinstance(settings, ConditionalSettings) else settings.nsamples or None
    verbose = settings.verbose  # libraries have more to say when they first run
    with tqdm(
        total=total,
        initial=done,
        unit=" samples",
        disable=settings.quiet or not sys.stderr.isatty(),
        dynamic_ncols=True,
    ) as bar:
        n_tokens = 0
        while True:
            with quiet(verbose):
                piece = next(pieces, None)
            if piece is None:
                return
            yield from piece.records
            verbose = verbose or piece.tokens > 0
            if not bar.disable:
                n_tokens += piece.tokens
                rate = n_tokens / max(bar.format_dict["elapsed"], 1e-3)
                bar.set_postfix_str(f"{rate:,.0f} tokens/s", refresh=False)
                bar.update(len(piece.records))


def tell(record: Record, settings: CorpusSettings) -> None:
    """A sample on stdout, as OpenAI's scripts print it; a line after a prompt's last one."""
    complain_of(record)
    if "error" in record:
        return
    show(f"{header(record['sample'])}{record['text']}\n")
    last = settings.first + settings.nsamples - 1
    if isinstance(settings, ConditionalSettings) and record["sample"] == last:
        show(CLOSING)


def complain_of(record: Record) -> None:
    """What is wrong with its prompt, above the bar."""
    if "error" in record:
        told = f"error: {record['error']}"
    elif "left_out" in record:
        n_left = counted(record["left_out"], "token")
        told = f"record {record['id']}: the first {n_left} of its prompt are left out"
    else:
        return
    tqdm.write(harmless(told), file=sys.stderr)


def say(settings: CorpusSettings, text: str) -> None:
    if not settings.quiet:
        notice(text)


def counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"
