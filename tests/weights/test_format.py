"""A format is one class, named in one place: then it is sampled, scored, converted and verified."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt2_sampler import load_engine, load_tokenizer
from gpt2_sampler.convert import convert
from gpt2_sampler.decoding.generate import generate
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.decoding.score import score
from gpt2_sampler.errors import UsageError
from gpt2_sampler.tokenizer.byte_level import Encoder, load_encoder
from gpt2_sampler.weights import checkpoint
from gpt2_sampler.weights.checkpoint import checkpoints_in, holds_model, open_checkpoint
from gpt2_sampler.weights.format import Tensors, find_file
from gpt2_sampler.weights.hparams import hparams_from
from gpt2_sampler.weights.storage import Floats
from tests.checkpoints import PRIMES, byte_vocabulary, random_checkpoint, random_weights

SHAPE = ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer")


class ArchiveTensors(Tensors):
    """NumPy's archive with OpenAI's names, matrices [out, in], and a shape and vocabulary in it."""

    kind = "archive"

    def __init__(self, path: Path) -> None:
        self.files = [path]
        self.arrays = np.load(path)
        self.hparams = hparams_from(
            path, {n: int(self.arrays[n]) for n in self.arrays if n[0] == "n"}
        )

    @classmethod
    def find(cls, path: Path) -> Path | None:
        return (
            find_file(path, "*.npz") if path.is_dir() else path if path.suffix == ".npz" else None
        )

    def read(self, name: str) -> Floats:
        array: Floats = self.arrays[name]
        return array.T if name.endswith("/w") else array

    def digest(self) -> bytes:
        return hashlib.sha256(self.files[0].read_bytes()).digest()

    def tokenizer(self) -> Encoder:
        symbols, merges = self.arrays["vocabulary"].tolist(), self.arrays["merges"].tolist()
        return Encoder({symbol: number for number, symbol in enumerate(symbols)}, merges)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoint, "FORMATS", (ArchiveTensors, *checkpoint.FORMATS))
    encoder = load_encoder(byte_vocabulary(tmp_path))
    weights = {n: w.T if n.endswith("/w") else w for n, w in random_weights(PRIMES).items()}
    arrays: dict[str, Any] = weights | {name: getattr(PRIMES, name) for name in SHAPE}
    arrays |= {"vocabulary": list(encoder.vocabulary), "merges": encoder.merges}
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "model.npz"
    np.savez(path, **arrays)
    return path


def test_it_is_read_as_the_same_model_in_openais_layout_is(archive: Path, tmp_path: Path) -> None:
    same = byte_vocabulary(random_checkpoint(tmp_path / "same"))
    engines = [load_engine(path, "cpu") for path in (same, archive, archive.parent)]
    tokenizers = [load_tokenizer(path) for path in (same, archive, archive.parent)]
    ids = [tokenizer.encode("the thing") for tokenizer in tokenizers]
    assert ids[0] == ids[1] == ids[2]
    texts = [list(generate(e, ids[0], length=9, sampling=Sampling(temperature=0))) for e in engines]
    assert texts[0] == texts[1] == texts[2]
    scores = [list(score(engine, ids[0])) for engine in engines[:2]]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["openai", "huggingface"])
def test_it_is_converted_with_the_vocabulary_inside_it(
    kind: str, archive: Path, tmp_path: Path
) -> None:
    convert(open_checkpoint(archive), tmp_path / "target", kind)
    converted = open_checkpoint(tmp_path / "target")
    for name, array in random_weights(PRIMES).items():
        np.testing.assert_array_equal(converted[name], array)
    encoder = load_tokenizer(tmp_path / "target")
    assert encoder.encode("the thing") == load_tokenizer(archive).encode("the thing")


def test_it_is_listed_and_verified_as_one_model(archive: Path) -> None:
    assert holds_model(archive.parent)
    assert checkpoints_in(archive.parent) == [archive]
    open_checkpoint(archive.parent).verify()
    with pytest.raises(UsageError, match="is one model, not a fine-tuning run to choose 3 from"):
        open_checkpoint(archive.parent, "3")
