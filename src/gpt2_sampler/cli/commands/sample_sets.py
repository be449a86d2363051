"""Jobs -> a file of records, or samples on stdout, with a progress bar.

What gpt2-generate and gpt2-conditional have in common. Does not know where jobs come from.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator

from gpt2_sampler.cli.commands.plans import AnyCorpus, device_of, meta_of, plan_of, with_its_seed
from gpt2_sampler.cli.flags.corpus_settings import ConditionalSettings, CorpusSettings
from gpt2_sampler.cli.session.loading import (
    LOADER,
    Files,
    Loader,
    choose_draft,
    choose_seed,
    find_files,
    start_engine,
)
from gpt2_sampler.cli.session.process import Terminated
from gpt2_sampler.cli.session.quiet import quiet_at_first
from gpt2_sampler.cli.session.terminal import harmless, notice, show
from gpt2_sampler.cli.session.writer import CLOSING, header
from gpt2_sampler.corpus.cluster import write_on
from gpt2_sampler.corpus.jobs import Job, Plan
from gpt2_sampler.corpus.run import Run, check_name
from gpt2_sampler.corpus.workers import DraftSource, Source
from gpt2_sampler.corpus.write import Record, Written, has_failed, write
from gpt2_sampler.errors import ClusterError, SamplerError
from gpt2_sampler.files import user_path
from gpt2_sampler.registry import find_model


def write_records(
    settings: AnyCorpus,
    jobs_of: Callable[[Files, Plan], Iterable[Job]],
    prompt: str = "",
    total: int | None = None,
    loader: Loader = LOADER,
) -> None:
    """Writes the records of the jobs to --output, or their texts to stdout. prompt is one of
    them, by whose language a model is chosen if none was asked for; total is how many there are,
    if that is known. Raises SamplerError if not one of them could be written."""
    path = None if settings.output is None else user_path(settings.output)
    if path is not None:
        check_name(path)
        settings = with_its_seed(settings, path)
    files = find_files(settings, prompt, loader)
    settings = choose_seed(settings)
    plan = plan_of(settings, files)
    jobs = jobs_of(files, plan)
    if path is None:
        done = failed = 0
        for record in with_progress(settings, steps(settings, files, jobs, plan), total):
            done += 1
            failed += has_failed(record)
            show_sample(record, settings)
        return require_a_text(done, failed)
    run = Run(path, meta_of(settings, files, plan), jobs)
    if run.done and not run.finished:
        say(settings, f"{path} has {count(run.done, 'record')}; resuming after them")
    if not run.finished:
        written = run.write(steps(settings, files, run.jobs, plan))
        try:
            for record in with_progress(settings, written, total, run.done):
                warn_about(record)
        except (KeyboardInterrupt, Terminated):
            say(
                settings,
                f"{path} has {count(run.done, 'record')}; the same command goes on after them",
            )
            raise
        except ClusterError as error:
            going_on = f"{path} has {count(run.done, 'record')}, and the same command goes on"
            raise ClusterError(f"{error}; {going_on}") from None
    run.close()
    errors = f", {run.failed:,} of them errors" if run.failed else ""
    say(settings, f"{path} is complete: {count(run.done, 'record')}{errors}")
    require_a_text(run.done, run.failed)


def require_a_text(records: int, failed: int) -> None:
    """Raises SamplerError if there are records and none has a text."""
    if records and failed == records:
        what = "the prompt" if records == 1 else f"any of the {records:,} prompts"
        raise SamplerError(f"could not continue {what}")


def steps(
    settings: CorpusSettings, files: Files, jobs: Iterable[Job], plan: Plan
) -> Iterator[Written]:
    """Writes the jobs on this machine or on a cluster -> what each step has added."""
    s = settings
    if s.ray is None:
        model = start_engine(s, files)
        return write(model.batch(model.rows), files.tokenizer, jobs, plan)
    return write_on(s.ray, source_of(s, files), jobs, plan, lambda text: say(s, text))


def source_of(settings: CorpusSettings, files: Files) -> Source:
    s, path = settings, str(files.path.resolve())
    draft = None
    if s.draft != "auto" and (drafting := choose_draft(files, s, device_of(s))):
        same = drafting is files.checkpoint
        draft = DraftSource(
            path=path if same else str(find_model(s.draft, s.models_dir).resolve()),
            step=s.checkpoint if same else None,
            fingerprint=drafting.fingerprint,
        )
    return Source(
        path=path,
        step=s.checkpoint,
        models_dir=None if s.models_dir is None else str(user_path(s.models_dir).resolve()),
        fingerprint=files.checkpoint.fingerprint,
        device=device_of(s),
        precision=s.precision,
        threads=s.threads,
        rows=s.rows,
        draft=draft,
    )


def with_progress(
    settings: CorpusSettings, steps: Iterator[Written], total: int | None, done: int = 0
) -> Iterator[Record]:
    """The records of the steps, with a bar at a terminal; done are those of earlier runs."""
    steps = quiet_at_first(steps, settings.verbose)
    if not settings.shows_progress:
        for step in steps:
            yield from step.records
        return
    from tqdm import tqdm  # a sixth of what the command imports

    with tqdm(total=total, initial=done, unit=" samples", dynamic_ncols=True) as bar:
        n_tokens = 0
        for step in steps:
            yield from step.records
            n_tokens += step.tokens
            rate = n_tokens / max(bar.format_dict["elapsed"], 1e-3)
            bar.set_postfix_str(f"{rate:,.0f} tokens/s", refresh=False)
            bar.update(len(step.records))


def show_sample(record: Record, settings: CorpusSettings) -> None:
    """Writes a sample to stdout as OpenAI's scripts do, with a rule after a prompt's last one."""
    warn_about(record)
    if has_failed(record):
        return
    show(f"{header(record['sample'])}{record['text']}\n")
    last = settings.first + settings.nsamples - 1
    if isinstance(settings, ConditionalSettings) and record["sample"] == last:
        show(CLOSING)


def warn_about(record: Record) -> None:
    """Says above the progress bar what is wrong with the record's prompt, if anything."""
    if has_failed(record):
        warning = f"error: {record['error']}"
    elif record.get("left_out"):
        n_left = count(record["left_out"], "token")
        warning = f"record {record['id']}: the first {n_left} of its prompt are left out"
    else:
        return
    from tqdm import tqdm

    tqdm.write(harmless(warning), file=sys.stderr)


def say(settings: CorpusSettings, text: str) -> None:
    if not settings.quiet:
        notice(text)


def count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"
