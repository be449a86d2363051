"""Drawn tokens -> samples on stdout, in order, in the layout of OpenAI's scripts.

One sample at a time is shown as it is written; samples written together are shown when complete.
"""

from __future__ import annotations

import dataclasses
import itertools
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from gpt2_sampler.cli.settings import TOP_SEED, SamplingSettings
from gpt2_sampler.cli.terminal import notice, show
from gpt2_sampler.encoder import Encoder, StreamDecoder, load_encoder
from gpt2_sampler.engines import Engine, load_engine
from gpt2_sampler.errors import UsageError
from gpt2_sampler.hparams import load_hparams
from gpt2_sampler.models import find_default, find_model
from gpt2_sampler.sample import generate

RULE = "=" * 40


@dataclasses.dataclass
class Session:
    """A loaded model and how to sample from it."""

    settings: SamplingSettings
    seed: int
    encoder: Encoder
    engine: Engine

    def write(self, prompt: Sequence[int], length: int, nsamples: int) -> None:
        """Continues the prompt nsamples times, or without end for 0, and writes each sample."""
        samples = range(nsamples) if nsamples else itertools.count()
        rows = min(self.settings.batch_size, nsamples or self.settings.batch_size)
        texts: dict[int, Text] = {}
        complete: dict[int, str] = {}
        shown = 0  # samples
        for sample, token, last in generate(
            self.engine,
            prompt,
            samples,
            length=length,
            rows=rows,
            seed=self.seed,
            sampling=self.settings.sampling,
            ends=lambda _, token: token == self.encoder.end_of_text,
        ):
            if sample not in texts:
                texts[sample] = Text(self.encoder)
                if rows == 1:
                    show(header(sample))
            piece = texts[sample].push(token, last)
            if rows == 1:
                show(f"{piece}\n" if last else piece)
            elif last:
                complete[sample] = texts[sample].written
                while shown in complete:
                    show(f"{header(shown)}{complete.pop(shown)}\n")
                    shown += 1
            if last:
                del texts[sample]


class Text:
    """A sample's tokens -> its text."""

    def __init__(self, encoder: Encoder) -> None:
        self.end_of_text = encoder.end_of_text
        self.decoder = StreamDecoder(encoder)
        self.written = ""

    def push(self, token: int, last: bool) -> str:
        """What the token adds: whole characters only, whatever is left with the last one."""
        piece = "" if token == self.end_of_text else self.decoder.push(token)
        if last:
            piece += self.decoder.finish()
        self.written += piece
        return piece


def header(sample: int) -> str:
    return f"{RULE} SAMPLE {sample + 1} {RULE}\n"


def find(settings: SamplingSettings) -> Path:
    """The folder of the model asked for; says so if it is not the one that was meant."""
    if settings.model_name is not None:
        return find_model(settings.model_name, settings.models_dir)
    folder, remark = find_default(settings.models_dir)
    if remark:
        notice(remark)
    return folder


def open_session(settings: SamplingSettings, folder: Path) -> Session:
    check_length(settings, folder)
    seed = settings.seed
    if seed is None:
        seed = secrets.randbelow(TOP_SEED + 1)
        notice(f"seed {seed}")
    encoder = load_encoder(folder)
    engine = load_engine(folder, settings.device, settings.precision)
    return Session(settings, seed, encoder, engine)


def check_length(settings: SamplingSettings, folder: Path) -> None:
    window = load_hparams(folder).n_ctx
    if settings.length is not None and settings.length > window:
        raise UsageError(f"--length must be at most the window of {window}, not {settings.length}")
