"""The model flags -> a loaded model. Says on stderr what was chosen where nothing was asked for.

Knows nothing of samples.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from gpt2_sampler.cli.flags.remedies import install, nearest
from gpt2_sampler.cli.flags.settings import DRAFTS, AnySettings, ModelSettings, Settings
from gpt2_sampler.cli.session.bundled import (
    choose_model,
    explain_bundled,
    is_first_of_the_day,
    uses_bundled,
)
from gpt2_sampler.cli.session.quiet import quiet
from gpt2_sampler.cli.session.terminal import aside, notice
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.text import encode_prompt
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.litert.attention import find_kernel
from gpt2_sampler.engines.load import find_device, load_engine
from gpt2_sampler.engines.memory import (
    free_memory,
    memory_needed,
    require_memory,
    rows_that_fit,
    size,
)
from gpt2_sampler.errors import CheckpointError, EngineError, UsageError
from gpt2_sampler.limits import LIMITS
from gpt2_sampler.opening import find_vocabulary, open_model, open_vocabulary
from gpt2_sampler.packages import is_installed
from gpt2_sampler.registry import DEMO, checkout, find_model
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.weights.checkpoint import Checkpoint


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
class Loader:
    """What opens a model's files and what loads them; a test hands a command its own."""

    open_model: Callable[..., Checkpoint] = open_model
    load_engine: Callable[..., Engine] = load_engine


LOADER = Loader()


@dataclasses.dataclass(frozen=True)
class Files:
    """A model that has been found and is not loaded, and what loads it."""

    path: Path
    checkpoint: Checkpoint
    tokenizer: Tokenizer
    loader: Loader

    @property
    def window(self) -> int:
        """Tokens."""
        return self.checkpoint.hparams.n_ctx


def load(settings: ModelSettings, text: str = "", loader: Loader = LOADER) -> Model:
    return start_engine(settings, find_files(settings, text, loader))


def find_files(settings: ModelSettings, text: str = "", loader: Loader = LOADER) -> Files:
    """Finds the model that was asked for or, if none was, the one for this text."""
    s, name = settings, choose_model(settings, text)
    if uses_bundled(s):
        explain_bundled(name)
    path = find_model(name, s.models_dir)
    checkpoint = loader.open_model(path, s.checkpoint, s.models_dir)
    vocabulary = find_vocabulary(checkpoint, s.models_dir)
    hparams = checkpoint.hparams
    with quiet(s.verbose):  # the library tokenizers says more of what it cannot read than an error
        tokenizer = open_vocabulary(vocabulary)
    if isinstance(vocabulary, Path) and vocabulary != checkpoint.folder:
        notice(f"the vocabulary is that of {vocabulary}")
    if tokenizer.n_learned > hparams.n_vocab:
        raise CheckpointError(
            f"{checkpoint.folder}: its vocabulary has {tokenizer.n_learned} tokens, its weights "
            f"have {hparams.n_vocab}; they belong to two models"
        )
    return Files(path, checkpoint, tokenizer, loader)


def start_engine(settings: ModelSettings, files: Files) -> Model:
    s, hparams = settings, files.checkpoint.hparams
    device = find_device(s.device, s.precision)
    rows, tokens = s.cache(hparams.n_ctx)
    rows = rows or rows_that_fit(hparams, s.precision, tokens, free_memory())
    if device == "cpu":
        require_memory(hparams, s.precision, rows, tokens, free_memory())
    with quiet(s.verbose):
        engine = files.loader.load_engine(files.checkpoint, device, s.precision, s.threads)
    precision = s.precision if device == "cpu" else None
    if device == "cpu":
        explain_missing_kernel()
    draft = None
    if isinstance(s, Settings):
        draft = load_draft(files, s, device, rows)
    return Model(files.tokenizer, engine, files.checkpoint.folder.name, rows, precision, draft)


def explain_missing_kernel() -> None:
    """Says what to type, once a day, where LiteRT runs and the installation compiled no kernel."""
    if not is_installed("ai_edge_litert") or find_kernel() or not is_first_of_the_day("no-kernel"):
        return
    remedy, sources = "install gpt2-sampler again", checkout()
    if sources:
        remedy = f"type: {install('-e', nearest(sources))}"
    notice(f"attention runs in NumPy, which is slower; where there is a C compiler, {remedy}")


class Models:
    """The models that answer prompts: choose_model's for each. A bundled one is loaded when it is
    first needed, any other at once."""

    def __init__(self, settings: ModelSettings, loader: Loader = LOADER) -> None:
        self._settings, self._loader = settings, loader
        self._loaded: dict[str, Model] = {}
        if uses_bundled(settings):
            explain_bundled(DEMO)
        else:
            self.answering("")

    def answering(self, prompt: str) -> Model:
        name = choose_model(self._settings, prompt)
        if name not in self._loaded:
            self._loaded[name] = load(self._settings, prompt, self._loader)
        return self._loaded[name]


def choose_seed(settings: AnySettings) -> AnySettings:
    """The settings with a seed. If none is set, one is chosen, and shown to be used again."""
    if settings.seed is not None:
        return settings
    seed = secrets.randbelow(LIMITS["seed"].highest + 1)
    notice(f"seed {seed}")
    return dataclasses.replace(settings, seed=seed)


LEAST_WEIGHTS = 25_000_000
"""Fewer are read about as fast in float32, because a processor's cache holds many of them."""


MOST_ROWS = 8
"""More texts keep the processor busy without a draft: benchmarks/bench_draft.py."""


LEAST_TOKENS = 100
"""Fewer are written before the time that loading the draft takes is saved."""


def load_draft(files: Files, settings: Settings, device: str, rows: int) -> Future[Engine] | None:
    """What is to draft for rows texts at the same time, None where it is not wanted or would not
    pay. Raises UsageError for a draft that nothing can use, and EngineError for one that there is
    no memory for, if it was asked for."""
    checkpoint, asked = choose_draft(files, settings, device), settings.draft != "auto"
    if checkpoint is None:
        return None
    hparams = files.checkpoint.hparams
    _, length = settings.cache(hparams.n_ctx)
    need, free = memory_needed(checkpoint.hparams, "int8", rows, length), free_memory()
    if asked and need > free:
        message = f"{size(need)} of memory are needed for the draft, {size(free)} are free"
        raise EngineError(message, fits={"draft": "off"})
    pays = (
        hparams.n_parameters >= LEAST_WEIGHTS
        and rows <= MOST_ROWS
        and settings.most_tokens(hparams.n_ctx) >= LEAST_TOKENS
        and need <= free // 2
    )
    if not (asked or pays):
        return None
    # Until it is there texts are written without it.
    pool = ThreadPoolExecutor(1, "draft")
    return pool.submit(files.loader.load_engine, checkpoint, "cpu", "int8", settings.threads)


def choose_draft(files: Files, settings: Settings, device: str) -> Checkpoint | None:
    """The model that can draft, if there is one. Raises UsageError for one that nothing can use."""
    if settings.draft == "off":
        return None
    if settings.draft not in DRAFTS:
        checkpoint = find_draft(settings, files)
        if device != "cpu":
            raise UsageError(f"--draft {settings.draft} is for a CPU; leave it out")
        return checkpoint
    if device == "cpu" and settings.precision == "float32":
        return files.checkpoint
    if settings.draft != "auto":
        raise UsageError("--draft int8 is for --precision float32 on a CPU; leave it out")
    return None


def find_draft(settings: Settings, files: Files) -> Checkpoint:
    """The smaller model that is to draft. Raises UsageError for one of another vocabulary."""
    name, target, tokenizer = settings.draft, files.checkpoint, files.tokenizer
    draft = open_model(find_model(name, settings.models_dir), models_dir=settings.models_dir)
    own, theirs = open_vocabulary(find_vocabulary(draft, settings.models_dir)), target.hparams
    if draft.hparams.n_vocab != theirs.n_vocab or any(
        own.decode_bytes([id]) != tokenizer.decode_bytes([id]) for id in range(theirs.n_vocab)
    ):
        raise UsageError(f"--draft {name} has another vocabulary than {target.folder.name}")
    if draft.hparams.n_ctx < theirs.n_ctx:
        raise UsageError(
            f"--draft {name} has a window of {draft.hparams.n_ctx} tokens, "
            f"{target.folder.name} one of {theirs.n_ctx}"
        )
    return draft


def tokens_of(prompt: str, model: Model, special_tokens: bool | None = None) -> list[int]:
    """The prompt's tokens, or the last of them if the window is smaller. Raises UsageError for a
    prompt that cannot be continued."""
    if prompt.endswith(" "):
        aside("the prompt ends in a space; leave it out, as words begin with their own space")
    window = model.window
    n_vocab = model.engine.hparams.n_vocab
    with quiet():
        tokens = encode_prompt(prompt, model.tokenizer, n_vocab, special_tokens)
    if len(tokens) > window:
        left_out = len(tokens) - window
        notice(f"the prompt has {len(tokens)} tokens; the first {left_out} are left out")
    return tokens[-window:]
