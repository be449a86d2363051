"""Entropy, what is kept, and its mass, computed once more in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from gpt2_sampler.seeing.compare import SETTINGS, as_json, effects, format_effects

V = 127
LOGITS = np.random.default_rng(3).normal(size=V).astype(np.float32) * 2
EFFECTS = effects(LOGITS, [1, 2])


def softmax(logits: np.ndarray) -> np.ndarray:
    mass = np.exp(logits.astype(np.float64) - logits.max())
    return mass / mass.sum()


def expected() -> dict[str, np.ndarray]:
    model = softmax(LOGITS)
    order = np.argsort(-model)
    top_40 = np.where(np.isin(np.arange(V), order[:40]), model, 0)
    n_kept = int((np.cumsum(model[order]) < 0.9).sum()) + 1
    nucleus = np.where(np.isin(np.arange(V), order[:n_kept]), model, 0)
    return {
        "temperature 1": model,
        "temperature 0.7": softmax(LOGITS / np.float32(0.7)),
        "top_k 40": top_40 / top_40.sum(),
        "top_p 0.9": nucleus / nucleus.sum(),
    }


@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_each_setting_does_what_plain_arithmetic_says(number: int) -> None:
    effect = EFFECTS[number]
    likely = expected()[effect.name]
    kept = likely > 0
    np.testing.assert_allclose(effect.likely, likely, atol=1e-6)
    assert effect.kept == kept.sum()
    assert effect.mass == pytest.approx(softmax(LOGITS)[kept].sum())
    assert effect.entropy == pytest.approx(-(likely[kept] * np.log2(likely[kept])).sum())


def test_the_table_has_a_line_for_each_of_the_likeliest_and_fits() -> None:
    told = format_effects(EFFECTS, str, 10)
    order = np.argsort(-LOGITS)
    assert [line.split()[0] for line in told[4:]] == [str(token) for token in order[:10]]
    assert max(map(len, told)) <= 80
    assert "cut" in format_effects(EFFECTS, str, 120)[-1]


def test_programs_get_the_same() -> None:
    [first, *_] = as_json(EFFECTS, str, 3)
    best = np.argsort(-LOGITS)[:3].tolist()
    assert [token["id"] for token in first["top"]] == best
    assert first["top"][0]["probability"] == pytest.approx(softmax(LOGITS)[best[0]])
