"""The model flags -> a loaded model; says on stderr what was chosen for who asked for nothing.

Knows nothing of samples.
"""

from __future__ import annotations

import dataclasses
import secrets

from gpt2_sampler.cli.quiet import quiet
from gpt2_sampler.cli.remedies import command
from gpt2_sampler.cli.settings import TOP_SEED, AnySettings, ModelSettings
from gpt2_sampler.cli.terminal import notice
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.load import find_device, load_engine
from gpt2_sampler.engines.memory import free_memory, require_memory
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.opening import load_tokenizer, open_model, vocabulary_folder
from gpt2_sampler.registry import DEFAULT, DEMO, find_default, find_model
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.weights.checkpoint import Checkpoint


@dataclasses.dataclass(frozen=True)
class Model:
    encoder: Tokenizer
    engine: Engine
    name: str = ""

    @property
    def window(self) -> int:
        """Tokens."""
        return self.engine.hparams.n_ctx


def load(settings: ModelSettings) -> Model:
    s = settings
    checkpoint = open_chosen(s.model_name, s.checkpoint, s.models_dir)
    encoder, hparams = load_tokenizer(checkpoint, s.models_dir), checkpoint.hparams
    vocabulary = vocabulary_folder(checkpoint, s.models_dir)
    if vocabulary != checkpoint.folder:
        notice(f"the vocabulary is that of {vocabulary}")
    if encoder.n_learned > hparams.n_vocab:
        raise CheckpointError(
            f"{checkpoint.folder}: its vocabulary has {encoder.n_learned} tokens, its weights have "
            f"{hparams.n_vocab}; they are of two models"
        )
    device = find_device(s.device, s.precision)
    if device == "cpu":
        require_memory(hparams, s.precision, *s.cache(hparams.n_ctx), free_memory())
    with quiet(s.verbose):
        engine = load_engine(checkpoint, device, s.precision, s.threads)
    return Model(encoder, engine, checkpoint.folder.name)


def open_chosen(name: str | None, step: str | None, models_dir: str | None) -> Checkpoint:
    """The model of that name, or the default one with a notice where it is not the usual one."""
    path = find_default(models_dir) if name is None else find_model(name, models_dir)
    if name is None and path.name == DEMO:
        notice(
            f"{DEFAULT} is not here, so the small demo model writes; for {DEFAULT} run: "
            f"{command('gpt2-download', DEFAULT)}"
        )
    return open_model(path, step, models_dir)


def seeded(settings: AnySettings) -> AnySettings:
    """With a seed: where none is set, one is chosen and shown, so that it can be used again."""
    if settings.seed is not None:
        return settings
    seed = secrets.randbelow(TOP_SEED + 1)
    notice(f"seed {seed}")
    return dataclasses.replace(settings, seed=seed)
