"""The logits after a text -> what sampling settings make of them, side by side. Knows no engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpt2_sampler.decoding.choose import distribution
from gpt2_sampler.decoding.logits import Logits, take_likeliest
from gpt2_sampler.decoding.noise import Doubles
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.seeing.bars import bar, fit, percent

SETTINGS = {
    "temperature 1": Sampling(),
    "temperature 0.7": Sampling(temperature=0.7),
    "top_k 40": Sampling(top_k=40),
    "top_p 0.9": Sampling(top_p=0.9),
}
LABEL, COLUMN, BAR = 16, 16, 7  # columns


class Effect(NamedTuple):
    """What one of SETTINGS makes of a distribution."""

    name: str
    entropy: float  # bits
    kept: int
    """Tokens that can still be drawn."""
    mass: float
    """The probability that the model gives to these, all together."""
    likely: Doubles
    """The probabilities under the settings, [V]."""


def effects(logits: Logits, text: Sequence[int]) -> list[Effect]:
    """The effect of each of SETTINGS on the logits [V] after the text."""
    model = np.exp(distribution(logits, History(text), Sampling()))
    found = []
    for name, sampling in SETTINGS.items():
        logprobs = distribution(logits, History(text), sampling)
        likely = np.exp(logprobs)
        kept = np.isfinite(logprobs)
        entropy = -float(likely[kept] @ logprobs[kept]) / np.log(2)
        found.append(Effect(name, abs(entropy), int(kept.sum()), float(model[kept].sum()), likely))
    return found


def format_effects(
    table: Sequence[Effect], look: Callable[[int], str], top: int, blocks: bool = True
) -> list[str]:
    """Lines that say what each of the settings does, and then the likeliest tokens with bars."""

    def line(label: str, cells: list[str]) -> str:
        return (fit(label, LABEL) + "".join(fit(cell, COLUMN) for cell in cells)).rstrip()

    told = [
        line("", [effect.name for effect in table]),
        line("entropy", [f"{effect.entropy:.2f} bits" for effect in table]),
        line("tokens kept", [f"{effect.kept:,}" for effect in table]),
        line("mass kept", [percent(effect.mass) for effect in table]),
    ]
    for token in take_likeliest(table[0].likely, top):
        shares = [float(effect.likely[token]) for effect in table]
        cells = [
            f"{percent(share):>6} {bar(share, BAR, blocks)}" if share else f"{'cut':>6}"
            for share in shares
        ]
        told.append(line(look(token), cells))
    return told


def as_json(table: Sequence[Effect], look: Callable[[int], str], top: int) -> list[dict[str, Any]]:
    """The same for programs, with the probabilities of the likeliest tokens."""
    return [
        {
            "name": effect.name,
            "entropy_bits": effect.entropy,
            "kept": effect.kept,
            "mass": effect.mass,
            "top": [
                {"id": token, "text": look(token), "probability": float(effect.likely[token])}
                for token in take_likeliest(effect.likely, top)
            ],
        }
        for effect in table
    ]
