"""Runs the real commands with a fake engine, so that a test knows what they must print.

    python tests/fake_command.py gpt2-interactive --models_dir DIR --model_name fake

BOOK is the text that the engine knows by heart, "|" in it the end of a text; without it, it
writes a hash of what it was given. DELAY is what a token takes, in seconds. Without words it forks
such commands for tests (forked.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gpt2_sampler.cli.commands import conditional, interactive
from gpt2_sampler.cli.commands import scoring as score
from gpt2_sampler.cli.commands import unconditional as generate
from gpt2_sampler.cli.session.loading import Loader
from gpt2_sampler.engines.engine import Cache, Engine
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, END_OF_TEXT_NAME
from gpt2_sampler.weights.checkpoint import Checkpoint
from gpt2_sampler.weights.format import Tensors
from gpt2_sampler.weights.hparams import HParams, load_hparams
from tests.fake_engine import Book, FakeEngine, Floats

MAIN = {
    "gpt2-generate": generate.main,
    "gpt2-interactive": interactive.main,
    "gpt2-conditional": conditional.main,
    "gpt2-score": score.main,
}


def make_folder(folder: Path, n_ctx: int = 97) -> Path:
    """A model folder without weights, whose tokens are bytes -> the folder."""
    folder.mkdir(parents=True)
    symbols = [*BYTE_SYMBOLS, END_OF_TEXT_NAME]
    encoder = {symbol: token for token, symbol in enumerate(symbols)}
    (folder / "encoder.json").write_text(json.dumps(encoder), encoding="utf-8")
    (folder / "vocab.bpe").write_text("#version: 0.2\n", encoding="utf-8")
    HParams(len(symbols), n_ctx, n_embd=2, n_head=1, n_layer=1).save(folder)
    return folder


def tokens_of(book: bytes) -> list[int]:
    return [256 if byte == ord("|") else byte for byte in book]


class FakeTensors(Tensors):
    """A shape without weights."""

    def __init__(self, path: Path) -> None:
        self.files, self.hparams = (), load_hparams(path)

    def digest(self) -> bytes:
        return b""


def fake_checkpoint(folder: Path, *_: object) -> Checkpoint:
    """Stands in for open_model, which would look for weights."""
    return Checkpoint(folder, FakeTensors(folder))


def fake_engine(checkpoint: Checkpoint, *_: object) -> Engine:
    """Stands in for load_engine, its chatter included."""
    with contextlib.suppress(OSError):
        os.write(2, b"chatter of a native library\n")
    hparams = checkpoint.hparams
    book = os.environ.get("BOOK")
    if book is None:
        return SlowEngine(hparams.n_vocab, hparams.n_ctx)
    return SlowBook(tokens_of(os.fsencode(book)), hparams.n_vocab, hparams.n_ctx)


class SlowEngine(FakeEngine):
    def forward(
        self,
        cache: Cache,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        time.sleep(float(os.environ.get("DELAY", "0")))
        return super().forward(cache, tokens, rows, positions, wanted)


class SlowBook(SlowEngine, Book):
    pass


if __name__ == "__main__":
    if not sys.argv[1:]:
        import prompt_toolkit  # noqa: F401

        from tests.forked import serve

        sys.argv = serve()
    else:
        sys.argv = sys.argv[1:]
    sys.exit(MAIN[sys.argv[0]](loader=Loader(fake_checkpoint, fake_engine)))
