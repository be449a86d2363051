"""Jobs -> a file of records or samples on stdout, with a progress bar. Knows no prompts.

The part that gpt2-generate and gpt2-conditional have in common.
"""

from __future__ import annotations

import dataclasses
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

import gpt2_sampler
from gpt2_sampler.cli.loading import Files, find_files, loaded, seeded
from gpt2_sampler.cli.quiet import quiet
from gpt2_sampler.cli.settings import CorpusSettings
from gpt2_sampler.cli.terminal import notice, show
from gpt2_sampler.cli.writer import CLOSING, header
from gpt2_sampler.corpus.jobs import Job, Plan
from gpt2_sampler.corpus.run import Meta, Run, check_name, read_meta
from gpt2_sampler.corpus.write import Piece, Record, write
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.engines.load import find_device
from gpt2_sampler.files import user_path

AnyCorpus = TypeVar("AnyCorpus", bound=CorpusSettings)
Ask = Callable[[Files, Plan], Iterable[Job]]
LIBRARIES = ("numpy", "ai-edge-litert", "tensorflow")


def write_records(settings: AnyCorpus, ask: Ask, *, samples: bool) -> None:
    """Writes the records of the jobs to --output, or their texts to stdout. samples: how many there
    are decides what each is, as it does where prompts have several."""
    path = None if settings.output is None else user_path(settings.output)
    if path is not None:
        check_name(path)
        settings = with_its_seed(settings, path)
    files = find_files(settings)
    settings = seeded(settings)
    plan = plan_of(settings, files)
    jobs = ask(files, plan)
    if path is None:
        for piece in with_progress(settings, plan, pieces(settings, files, jobs, plan), 0):
            for record in piece.records:
                tell(record, plan if samples else None)
        return
    run = Run(path, meta_of(settings, files, plan, samples=samples), jobs)
    if run.finished:
        run.close()
        say(settings, f"{path} is complete: {counted(run.done, 'record')}")
        return
    if run.done:
        say(settings, f"{path} has {counted(run.done, 'record')}; going on after them")
    for piece in with_progress(
        settings, plan, run.write(pieces(settings, files, run.jobs, plan)), run.done
    ):
        for record in piece.records:
            complain_of(record)
    run.close()
    say(settings, f"{path} is complete: {counted(run.done, 'record')}")


def with_its_seed(settings: AnyCorpus, path: Path) -> AnyCorpus:
    """With the seed that an earlier run chose, where this one was given none."""
    meta = read_meta(path)
    seed = (meta or {}).get("settings", {}).get("seed")
    if settings.seed is not None or not isinstance(seed, int):
        return settings
    return dataclasses.replace(settings, seed=seed)


def plan_of(settings: CorpusSettings, files: Files) -> Plan:
    s = settings
    return Plan(
        seed=s.seed or 0,
        first=s.first,
        samples=s.nsamples,
        length=s.sample_length(files.window),
        sampling=s.sampling,
        stops=tuple(s.stop_texts),
        ends=frozenset() if s.ignore_eot else files.encoder.ends,
        on_long=getattr(s, "on_long", Plan.on_long),
        special_tokens=getattr(s, "special_tokens", None),
        tokens=s.tokens,
        logprobs=s.logprobs,
    )


def meta_of(settings: CorpusSettings, files: Files, plan: Plan, *, samples: bool) -> Meta:
    """What all records of a file share. settings is what decides what they say."""
    s = settings
    of_prompts = {
        "nsamples": plan.samples,
        "on_long": plan.on_long,
        "special_tokens": plan.special_tokens,
    }
    installed = {library: version(library) for library in LIBRARIES}
    said: dict[str, Any] = {
        "fingerprint": files.checkpoint.fingerprint,
        "precision": s.precision,
        "device": s.device if s.ray else find_device(s.device, s.precision),
        "prompts": samples,
        "seed": plan.seed,
        "first": plan.first,
        **(of_prompts if samples else {}),
        "length": plan.length,
        **dataclasses.asdict(plan.sampling),
        "stop": plan.stops,
        "ignore_eot": s.ignore_eot,
        "tokens": plan.tokens,
        "logprobs": plan.logprobs,
    }
    if said["device"] == "auto":
        said["device"] = "cpu"
    return {
        "model": {
            "path": str(files.checkpoint.folder.resolve()),
            **dataclasses.asdict(files.checkpoint.hparams),
        },
        "settings": said,
        "versions": {
            "gpt2-sampler": gpt2_sampler.__version__,
            "python": platform.python_version(),
            **{library: number for library, number in installed.items() if number},
        },
    }


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
        return write(Batch(model.engine, model.rows), files.encoder, jobs, plan)
    from gpt2_sampler.corpus.cluster import Source, write_on

    source = Source(
        path=str(files.path.resolve()),
        step=s.checkpoint,
        models_dir=None if s.models_dir is None else str(user_path(s.models_dir).resolve()),
        fingerprint=files.checkpoint.fingerprint,
        device="cpu" if s.device == "auto" else s.device,
        precision=s.precision,
        threads=s.threads,
        rows=s.batch_size,
    )
    return write_on(s.ray, source, jobs, plan)


def with_progress(
    settings: CorpusSettings, plan: Plan, pieces: Iterator[Piece], done: int
) -> Iterator[Piece]:
    """A bar on a terminal, nowhere else."""
    n_samples = None if settings.endless else plan.samples
    n_tokens = 0
    with tqdm(
        total=n_samples,
        initial=done,
        unit=" samples",
        disable=settings.quiet or not sys.stderr.isatty(),
        file=sys.stderr,
        dynamic_ncols=True,
    ) as bar:
        while True:
            with quiet(settings.verbose or n_tokens > 0):  # libraries talk when they first run
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece
            n_tokens += piece.tokens
            seconds = bar.format_dict["elapsed"]
            bar.set_postfix_str(f"{n_tokens / max(seconds, 1e-3):,.0f} tokens/s", refresh=False)
            bar.update(len(piece.records))


def tell(record: Record, plan: Plan | None) -> None:
    """A sample on stdout, as OpenAI's scripts print it; after a prompt's last one a line."""
    complain_of(record)
    if "error" in record:
        return
    show(f"{header(record['sample'])}{record['text']}\n")
    if plan is not None and record["sample"] == plan.first + plan.samples - 1:
        show(CLOSING)


def complain_of(record: Record) -> None:
    """What was wrong with its prompt."""
    if "error" in record:
        tqdm.write(f"error: {record['error']}", file=sys.stderr)
    elif "left_out" in record:
        left_out = counted(record["left_out"], "token")
        tqdm.write(f"record {record['id']}: its prompt's first {left_out} are left out", sys.stderr)


def say(settings: CorpusSettings, text: str) -> None:
    if not settings.quiet:
        notice(text)


def counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"
