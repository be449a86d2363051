"""The model flags -> a loaded model; says on stderr what was chosen for who asked for nothing.

Knows nothing of samples.
"""

from __future__ import annotations

import dataclasses
import secrets
from pathlib import Path

import regex

from gpt2_sampler.cli.quiet import quiet
from gpt2_sampler.cli.remedies import command
from gpt2_sampler.cli.settings import TOP_SEED, AnySettings, ModelSettings
from gpt2_sampler.cli.terminal import notice
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.load import find_device, load_engine
from gpt2_sampler.engines.memory import free_memory, require_memory, rows_that_fit
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.opening import load_tokenizer, open_model, vocabulary_folder
from gpt2_sampler.registry import DEFAULT, DEMO, DEMO_ZH, find_default, find_model
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.weights.checkpoint import Checkpoint


@dataclasses.dataclass(frozen=True)
class Model:
    encoder: Tokenizer
    engine: Engine
    name: str = ""
    rows: int = 1
    """Texts at the same time."""
    precision: str | None = None
    """Where the machine's own memory is used; on a GPU its driver says when it is full."""

    @property
    def window(self) -> int:
        """Tokens."""
        return self.engine.hparams.n_ctx

    def require_room(self, rows: int, tokens: int) -> None:
        """Raises EngineError where so many texts of so many tokens, prompts included, have none."""
        if self.precision is not None:
            hparams, free = self.engine.hparams, free_memory()
            require_memory(hparams, self.precision, rows, tokens, free, loaded=True)


@dataclasses.dataclass(frozen=True)
class Files:
    """A model that is not loaded."""

    path: Path
    checkpoint: Checkpoint
    encoder: Tokenizer

    @property
    def window(self) -> int:
        """Tokens."""
        return self.checkpoint.hparams.n_ctx


def load(settings: ModelSettings) -> Model:
    return loaded(settings, find_files(settings))


def find_files(settings: ModelSettings) -> Files:
    s = settings
    path = find_chosen(s.model_name, s.models_dir)
    checkpoint = open_model(path, s.checkpoint, s.models_dir)
    encoder, hparams = load_tokenizer(checkpoint, s.models_dir), checkpoint.hparams
    vocabulary = vocabulary_folder(checkpoint, s.models_dir)
    if vocabulary != checkpoint.folder:
        notice(f"the vocabulary is that of {vocabulary}")
    if encoder.n_learned > hparams.n_vocab:
        raise CheckpointError(
            f"{checkpoint.folder}: its vocabulary has {encoder.n_learned} tokens, its weights have "
            f"{hparams.n_vocab}; they are of two models"
        )
    return Files(path, checkpoint, encoder)


def loaded(settings: ModelSettings, files: Files) -> Model:
    s, hparams = settings, files.checkpoint.hparams
    device = find_device(s.device, s.precision)
    rows, tokens = s.cache(hparams.n_ctx)
    rows = rows or rows_that_fit(hparams, s.precision, tokens, free_memory())
    if device == "cpu":
        require_memory(hparams, s.precision, rows, tokens, free_memory())
    with quiet(s.verbose):
        engine = load_engine(files.checkpoint, device, s.precision, s.threads)
    precision = s.precision if device == "cpu" else None
    return Model(files.encoder, engine, files.checkpoint.folder.name, rows, precision)


class Models:
    """The model that answers a prompt: the one that was asked for, or DEFAULT where it is; else
    the bundled one for the prompt's language. Each is loaded when it is first needed, all but a
    bundled one at once."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._loaded: dict[str | None, Model] = {}
        name = settings.model_name
        self._bundled = name is None and find_default(settings.models_dir).name == DEMO
        self._name = DEMO if self._bundled else name
        if self._bundled:
            say_that_it_is_bundled()
        else:
            self._load(name)

    def answering(self, prompt: str) -> Model:
        chinese = self._bundled and is_chinese(prompt)
        if chinese and DEMO_ZH not in self._loaded:
            notice(BUNDLED_CHINESE)
        return self._load(DEMO_ZH if chinese else self._name)

    def _load(self, name: str | None) -> Model:
        if name not in self._loaded:
            settings = dataclasses.replace(self._settings, model_name=name)
            self._loaded[name] = load(settings)
        return self._loaded[name]


BUNDLED_CHINESE = (
    "the prompt is Chinese, so the small bundled model demo-zh writes (old novels and stories); "
    "for others see README.zh.md / "
    "由附帶的中文小模型 demo-zh 續寫（舊小說），其他模型見 README.zh.md"
)
HAN = regex.compile(r"\p{Han}")


def is_chinese(text: str) -> bool:
    """Whether most of its letters are Chinese characters."""
    letters = sum(map(str.isalpha, text))
    return 2 * len(HAN.findall(text)) > letters


def find_chosen(name: str | None, models_dir: str | None) -> Path:
    """The model of that name, or the default one with a notice where it is not the usual one."""
    path = find_default(models_dir) if name is None else find_model(name, models_dir)
    if name is None and path.name == DEMO:
        say_that_it_is_bundled()
    return path


def say_that_it_is_bundled() -> None:
    notice(
        f"{DEFAULT} is not here, so the small demo model writes; for {DEFAULT} run: "
        f"{command('gpt2-download', DEFAULT)}"
    )


def seeded(settings: AnySettings) -> AnySettings:
    """With a seed: where none is set, one is chosen and shown, so that it can be used again."""
    if settings.seed is not None:
        return settings
    seed = secrets.randbelow(TOP_SEED + 1)
    notice(f"seed {seed}")
    return dataclasses.replace(settings, seed=seed)
