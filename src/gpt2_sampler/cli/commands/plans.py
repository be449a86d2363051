"""Settings and a model -> the plan of a run of many samples, and what its meta file says of it.

Knows no jobs and no engine.
"""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path
from typing import Any, TypeVar

import gpt2_sampler
from gpt2_sampler.cli.flags.corpus_settings import ConditionalSettings, CorpusSettings
from gpt2_sampler.cli.flags.version import version_of
from gpt2_sampler.cli.session.loading import Files
from gpt2_sampler.corpus.jobs import Plan
from gpt2_sampler.corpus.run import Meta, read_meta
from gpt2_sampler.corpus.write import LAYOUT
from gpt2_sampler.engines.load import find_device

AnyCorpus = TypeVar("AnyCorpus", bound=CorpusSettings)
LIBRARIES = ("numpy", "ai-edge-litert", "tensorflow")


def with_its_seed(settings: AnyCorpus, path: Path) -> AnyCorpus:
    """The settings with the seed that an earlier run chose, if this one was given none."""
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
        ends=frozenset() if s.ignore_eot else files.tokenizer.ends,
        tokens=s.tokens,
        logprobs=s.logprobs,
    )
    if isinstance(s, ConditionalSettings):
        return dataclasses.replace(plan, on_long=s.on_long, special_tokens=s.special_tokens)
    return plan


def meta_of(settings: CorpusSettings, files: Files, plan: Plan) -> Meta:
    """What all records of a file have in common."""
    checkpoint = files.checkpoint
    return {
        "model": {"path": str(checkpoint.folder.resolve())}
        | dataclasses.asdict(checkpoint.hparams),
        "settings": {"fingerprint": checkpoint.fingerprint, **settings_that_matter(settings, plan)},
        "versions": {"gpt2-sampler": gpt2_sampler.__version__, "python": platform.python_version()}
        | {library: number for library in LIBRARIES if (number := version_of(library))},
    }


def settings_that_matter(settings: CorpusSettings, plan: Plan) -> Meta:
    """The settings that the records depend on, by name."""
    s = settings
    of_prompts: dict[str, Any] = {}
    if isinstance(s, ConditionalSettings):
        of_prompts = {
            "nsamples": s.nsamples,
            "on_long": plan.on_long,
            "special_tokens": plan.special_tokens,
            "layout": LAYOUT,
        }
    return {
        "device": device_of(s),
        "precision": s.precision,
        "prompts": isinstance(s, ConditionalSettings),
        **of_prompts,
        "seed": plan.seed,
        "first": plan.first,
        "length": plan.length,
        **dataclasses.asdict(plan.sampling),
        "stop": plan.stops,
        "ignore_eot": s.ignore_eot,
        "tokens": plan.tokens,
        "logprobs": plan.logprobs,
    }


def device_of(settings: CorpusSettings) -> str:
    """cpu or gpu. The machines of a cluster differ from this one, so there a GPU is used only if
    it was asked for."""
    if settings.ray is None:
        return find_device(settings.device, settings.precision)
    return "gpu" if settings.device == "gpu" else "cpu"
