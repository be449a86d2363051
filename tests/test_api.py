"""What the package names takes what it says, and raises SamplerError alone."""

from __future__ import annotations

import itertools
import math
import re
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpt2_sampler
from gpt2_sampler import (
    Batch,
    Request,
    SamplerError,
    Sampling,
    UsageError,
    continue_text,
    continue_texts,
    generate,
    load_engine,
    load_tokenizer,
    places,
    score,
    score_texts,
)
from tests.checkpoints import DATA, byte_vocabulary, random_checkpoint
from tests.fake_engine import FakeEngine
from tests.serving.running import BYTES

SAVED = DATA / "huggingface"


def openai(folder: Path) -> Path:
    return byte_vocabulary(random_checkpoint(folder))


def one_checkpoint(folder: Path) -> Path:
    return openai(folder) / "model.ckpt"


def huggingface(folder: Path) -> Path:
    shutil.copytree(SAVED / "plain", folder)
    return byte_vocabulary(folder)


KINDS = [openai, one_checkpoint, huggingface]


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_of_any_kind_is_a_model(kind, tmp_path: Path) -> None:
    path = kind(tmp_path / "model")
    for spelt in (path, str(path)):
        engine, tokenizer = load_engine(spelt, "cpu"), load_tokenizer(spelt)
        logits = engine.logits([1, 2, 3])
        assert logits.shape == (3, engine.hparams.n_vocab) and np.isfinite(logits).all()
        assert tokenizer.decode(tokenizer.encode("the thing")) == "the thing"


@pytest.mark.parametrize("load", [load_engine, load_tokenizer])
@pytest.mark.parametrize("path", ["nowhere", "", "null\0byte", "~nosuchuser/x", "x" * 300])
def test_what_is_no_model_raises_the_one_error(load, path: str, tmp_path: Path) -> None:
    for spelt in (str(tmp_path / path), path or str(tmp_path)):
        with pytest.raises(SamplerError) as error:
            load(spelt)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("device", "precision"), [("tpu", "float32"), ("auto", "int3")])
def test_what_cannot_be_asked_for_raises_it_too(
    device: str, precision: str, tmp_path: Path
) -> None:
    with pytest.raises(SamplerError, match=r"must be one of"):
        load_engine(openai(tmp_path), device, precision)


def test_every_public_name_is_there_and_says_what_it_is_for() -> None:
    for name in gpt2_sampler.__all__:
        assert getattr(gpt2_sampler, name).__doc__, name


def test_a_message_stays_short_whatever_value_is_in_it() -> None:
    said = str(SamplerError(f"it has {'x' * 10**6}; type less"))
    assert len(said) < 2000 and said.startswith("it has xx") and said.endswith("xx; type less")


class Unspeakable:
    """What cannot even be quoted."""

    def __repr__(self) -> str:
        raise RuntimeError


WRONG: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.0, 1.5, math.nan, math.inf, 1j, 2**63, 10**5000, -(10**5000)),
    *(np.bool_(True), np.int8(3), np.uint64(2**64 - 1), np.float16(0.5), np.array(3)),
    *("x", "", "\0", "\ud800", "x" * 10**5, b"x", Path("x"), Decimal("0.5"), Fraction(1, 2)),
    *([], [1], ["x"], [None], [""], [[1]], {1}, {1: 2}, range(2), np.zeros([2, 2]), iter([1, 2])),
    *(object(), Unspeakable(), [Unspeakable()], len, ...),
)
ENGINE = FakeEngine(257, 19)
GOOD: dict[Callable[..., Any], dict[str, Any]] = {
    continue_text: {
        "engine": ENGINE, "tokenizer": BYTES, "prompt": "a", "length": 2, "stop": ["q"],
        "seed": 1, "sample": 0, "sampling": Sampling(), "top": 1, "ignore_eot": False,
        "special_tokens": None, "draft": None,
    },
    continue_texts: {
        "engine": ENGINE, "tokenizer": BYTES, "prompts": ["a"], "samples": 1, "length": 2,
        "stop": ["q"], "rows": 2, "draft": None,
    },
    generate: {
        "engine": ENGINE, "tokens": [1], "samples": 1, "length": 2, "seed": 1,
        "sampling": Sampling(), "ends": [2], "rows": 2,
    },
    score: {"engine": ENGINE, "tokens": [1, 2], "stride": None},
    places: {"engine": ENGINE, "tokens": [1, 2], "top": 1},
    score_texts: {"engine": ENGINE, "texts": [[1, 2]], "top": 1, "rows": 2},
    Request: {
        "id": 0, "tokens": [1], "stream": (1,), "sampling": Sampling(), "length": 2,
        "ends": frozenset({2}), "drawn": 0, "top": 1, "tell_from": None,
    },
    Batch: {"engine": ENGINE, "rows": 2, "draft": None},
    ENGINE.logits: {"tokens": [1]},
    BYTES.encode: {"text": "a", "special_tokens": None},
    BYTES.decode: {"tokens": [1]},
}  # fmt: skip
"""What takes each of its arguments right; each of them is replaced by what is wrong."""

OTHER_NAMES = {
    "sample": "stream", "samples": "samples|stream", "prompts": "prompt", "texts": "token",
    "tokens": "token",
}  # fmt: skip
"""What a message calls an argument of which a part is refused."""


@pytest.mark.parametrize("call", GOOD, ids=lambda call: call.__name__)
def test_a_wrong_value_of_any_argument_works_or_is_refused_in_one_line(
    call: Callable[..., Any],
) -> None:
    for name, wrong in itertools.product(GOOD[call], WRONG):
        try:
            found = call(**GOOD[call] | {name: wrong})
            if call is Request:
                Batch(ENGINE, 1).add(found)
            elif isinstance(found, Iterator):
                for _ in itertools.islice(found, 3):
                    pass
        except UsageError as error:
            assert re.search(OTHER_NAMES.get(name, name), str(error)), (name, str(error))
            assert "\n" not in str(error) and len(str(error)) < 200
