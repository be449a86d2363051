"""The model flags -> a loaded model. Says on stderr what was chosen where nothing was asked for.

Knows nothing of samples.
"""

from __future__ import annotations

import dataclasses
import secrets
from concurrent.futures import Future
from pathlib import Path

import regex

from gpt2_sampler.cli.flags.remedies import command
from gpt2_sampler.cli.flags.settings import AnySettings, ModelSettings, Settings
from gpt2_sampler.cli.session.drafting import load_draft
from gpt2_sampler.cli.session.quiet import quiet
from gpt2_sampler.cli.session.terminal import notice
from gpt2_sampler.corpus.jobs import TOP_SEED
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.load import find_device, load_engine
from gpt2_sampler.engines.memory import free_memory, require_memory, rows_that_fit
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.opening import load_tokenizer, open_model, vocabulary_folder
from gpt2_sampler.registry import DEFAULT, DEMO, DEMO_ZH, find_default, find_model
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.weights.checkpoint import Checkpoint

LARGER_CHINESE = "hf:uer/gpt2-chinese-cluecorpussmall"


@dataclasses.dataclass(frozen=True)
class Model:
    tokenizer: Tokenizer
    engine: Engine
    name: str = ""
    rows: int = 1
    """How many texts it has room for at the same time."""
    precision: str | None = None
    """None on a GPU, whose driver says when its memory is full."""
    draft: Future[Engine] | None = None
    """What makes it faster, if anything does."""

    @property
    def window(self) -> int:
        """Tokens."""
        return self.engine.hparams.n_ctx

    def batch(self, rows: int) -> Batch:
        """To write so many texts at the same time with it."""
        return Batch(self.engine, rows, self.draft)

    def require_room(self, rows: int, tokens: int) -> None:
        """Raises EngineError if that many texts of that many tokens, prompts included, do not fit
        the free memory."""
        if self.precision is not None:
            hparams, free = self.engine.hparams, free_memory()
            require_memory(hparams, self.precision, rows, tokens, free, loaded=True)


@dataclasses.dataclass(frozen=True)
class Files:
    """A model that has been found and is not loaded."""

    path: Path
    checkpoint: Checkpoint
    tokenizer: Tokenizer

    @property
    def window(self) -> int:
        """Tokens."""
        return self.checkpoint.hparams.n_ctx


def load(settings: ModelSettings) -> Model:
    return loaded(settings, find_files(settings))


def find_files(settings: ModelSettings, text: str = "") -> Files:
    """The model that was asked for. If none was, the default one or, where that is not here, the
    bundled one for the text's language."""
    s = settings
    if uses_bundled(s):
        say_that_default_is_missing()
        s = dataclasses.replace(s, model_name=bundled_for(text))
        explain_chinese(s.model_name)
    path = find_model(DEFAULT if s.model_name is None else s.model_name, s.models_dir)
    checkpoint = open_model(path, s.checkpoint, s.models_dir)
    tokenizer, hparams = load_tokenizer(checkpoint, s.models_dir), checkpoint.hparams
    vocabulary = vocabulary_folder(checkpoint, s.models_dir)
    if vocabulary != checkpoint.folder:
        notice(f"the vocabulary is that of {vocabulary}")
    if tokenizer.n_learned > hparams.n_vocab:
        raise CheckpointError(
            f"{checkpoint.folder}: its vocabulary has {tokenizer.n_learned} tokens, its weights "
            f"have {hparams.n_vocab}; they belong to two models"
        )
    return Files(path, checkpoint, tokenizer)


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
    draft = load_draft(files.checkpoint, s, device, rows) if isinstance(s, Settings) else None
    return Model(files.tokenizer, engine, files.checkpoint.folder.name, rows, precision, draft)


class Models:
    """The models that answer prompts: the one that was asked for or, where find_files would take a
    bundled one, that for each prompt's language. A bundled model is loaded when it is first needed,
    any other at once."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._loaded: dict[str | None, Model] = {}
        self._bundled = uses_bundled(settings)
        if self._bundled:
            say_that_default_is_missing()
        else:
            self.answering("")

    def answering(self, prompt: str) -> Model:
        name = bundled_for(prompt) if self._bundled else self._settings.model_name
        if name not in self._loaded:
            if self._bundled:
                explain_chinese(name)
            self._loaded[name] = load(dataclasses.replace(self._settings, model_name=name))
        return self._loaded[name]


HAN = regex.compile(r"\p{Han}")


def is_chinese(text: str) -> bool:
    """Whether most of its letters are Chinese characters."""
    letters = sum(map(str.isalpha, text))
    return 2 * len(HAN.findall(text)) > letters


def uses_bundled(settings: ModelSettings) -> bool:
    """Whether no model was asked for and the default one is not here."""
    return settings.model_name is None and find_default(settings.models_dir).name == DEMO


def bundled_for(text: str) -> str:
    return DEMO_ZH if is_chinese(text) else DEMO


def say_that_default_is_missing() -> None:
    notice(
        f"{DEFAULT} is not here, so a small bundled model is used; for {DEFAULT} run: "
        f"{command('gpt2-download', DEFAULT)}"
    )


def explain_chinese(name: str | None) -> None:
    if name == DEMO_ZH:
        notice(
            f"the text is Chinese, so the bundled model {DEMO_ZH} is used; a larger one:\n"
            f"文字是中文，使用附帶的小模型 {DEMO_ZH}；更大的模型：\n"
            f"{command('gpt2-download', LARGER_CHINESE)}"
        )


def seeded(settings: AnySettings) -> AnySettings:
    """With a seed. If none is set, one is chosen and shown, so that it can be used again."""
    if settings.seed is not None:
        return settings
    seed = secrets.randbelow(TOP_SEED + 1)
    notice(f"seed {seed}")
    return dataclasses.replace(settings, seed=seed)
