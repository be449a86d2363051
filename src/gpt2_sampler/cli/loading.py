"""The model flags -> a loaded model; says on stderr what was chosen for who asked for nothing.

Knows nothing of samples.
"""

from __future__ import annotations

import dataclasses
import secrets

from gpt2_sampler.cli.settings import TOP_SEED, AnySettings, ModelSettings
from gpt2_sampler.cli.terminal import notice
from gpt2_sampler.encoder import Encoder, load_encoder
from gpt2_sampler.engines import Engine, load_engine
from gpt2_sampler.engines.quiet import quiet
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.hparams import load_hparams
from gpt2_sampler.models import find_default, find_model


@dataclasses.dataclass(frozen=True)
class Model:
    encoder: Encoder
    engine: Engine

    @property
    def window(self) -> int:
        """Tokens."""
        return self.engine.hparams.n_ctx


def load(settings: ModelSettings) -> Model:
    if settings.model_name is not None:
        folder = find_model(settings.model_name, settings.models_dir)
    else:
        folder, remark = find_default(settings.models_dir)
        if remark:
            notice(remark)
    encoder, hparams = load_encoder(folder), load_hparams(folder)
    if encoder.n_vocab > hparams.n_vocab:
        raise CheckpointError(
            f"{folder}: its vocabulary has {encoder.n_vocab} tokens, its weights have "
            f"{hparams.n_vocab}; they are of two models, download one again"
        )
    s = settings
    with quiet(s.verbose):
        return Model(encoder, load_engine(folder, s.device, s.precision, s.threads))


def seeded(settings: AnySettings) -> AnySettings:
    """With a seed: where none is set, one is chosen and shown, so that it can be used again."""
    if settings.seed is not None:
        return settings
    seed = secrets.randbelow(TOP_SEED + 1)
    notice(f"seed {seed}")
    return dataclasses.replace(settings, seed=seed)
