"""hparams.json is read, written and mistrusted."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.hparams import HParams, load_hparams, require_shapes
from gpt2_sampler.weights.storage import Stored

GOOD: dict[str, Any] = {"n_vocab": 50257, "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12}


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    hparams = HParams(**GOOD)
    hparams.save(tmp_path)
    assert load_hparams(tmp_path) == hparams


def test_what_openai_does_not_have_is_saved_only_where_it_differs(tmp_path: Path) -> None:
    HParams(**GOOD).save(tmp_path)
    assert json.loads((tmp_path / "hparams.json").read_text()) == GOOD
    other = HParams(**GOOD, activation_function="relu", n_inner=5, tie_word_embeddings=False)
    other.save(tmp_path)
    assert load_hparams(tmp_path) == other


def test_the_weights_of_117m_are_counted_right() -> None:
    shapes = HParams(**GOOD).variable_shapes()
    numbers = 0
    for shape in shapes.values():
        size = 1
        for axis in shape:
            size *= axis
        numbers += size
    assert numbers == 124_439_808
    assert len(shapes) == 148


def test_numbers_that_no_model_has_are_refused_before_they_take_memory() -> None:
    for name in ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer", "n_inner"):
        shape = {"n_vocab": 7, "n_ctx": 5, "n_embd": 4, "n_head": 2, "n_layer": 1, name: 2**70}
        with pytest.raises(CheckpointError, match=f"{name} must be at most .*, not 1180591620717"):
            HParams(**shape)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("n_vocab", 1 << 24), ("n_ctx", 1 << 24), ("n_embd", 1 << 20), ("n_head", 1 << 20),
        ("n_layer", 10_000), ("n_inner", 1 << 22),
    ],
)  # fmt: skip
def test_a_number_may_be_the_highest_and_no_higher(name: str, most: int) -> None:
    least = {"n_vocab": 1, "n_ctx": 1, "n_embd": 1 << 20, "n_head": 1, "n_layer": 1, "n_inner": 1}
    assert getattr(HParams(**{**least, name: most}), name) == most  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=f"{name} must be at most {most}, not {most + 1}"):
        HParams(**{**least, name: most + 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "is not a JSON object"),
        (json.dumps({**GOOD, "n_head": 0}), "n_head must be a whole number above 0, not 0"),
        (json.dumps({**GOOD, "n_embd": 7.5}), "n_embd must be a whole number above 0, not 7.5"),
        (json.dumps({**GOOD, "n_embd": 770}), "n_embd must be a multiple of n_head, not 770"),
        (json.dumps({"n_vocab": 3}), "has no n_ctx"),
        (json.dumps({**GOOD, "layer_norm_epsilon": True}), "layer_norm_epsilon must be a number"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "hparams.json").write_text(text)
    with pytest.raises(CheckpointError) as error:
        load_hparams(tmp_path)
    assert says in str(error.value)
    assert str(tmp_path / "hparams.json") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"hparams\.json is missing"):
        load_hparams(tmp_path)


@pytest.mark.parametrize(
    ("dtype", "shape", "fits"),
    [
        ("float32", (3, 2), True),
        ("float16", (3, 2), True),
        ("int8", (3, 2), False),
        ("float32", (2, 3), False),
        ("int8", (2, 3), False),
    ],
)
def test_a_tensor_of_another_kind_or_shape_is_named_with_both(
    dtype: str, shape: tuple[int, ...], fits: bool
) -> None:
    stored = {"wte": cast(Stored, SimpleNamespace(dtype=dtype, shape=shape))}
    wanted = {"wte": (3, 2)}
    if fits:
        return require_shapes(Path("x"), stored, wanted, ["float32", "float16"], "config.json")
    with pytest.raises(CheckpointError) as error:
        require_shapes(Path("x"), stored, wanted, ["float32", "float16"], "config.json")
    assert str(error.value) == (
        f"x: wte is {dtype} {list(shape)}, config.json calls for float32 or float16 [3, 2]"
    )
