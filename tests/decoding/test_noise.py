"""The noise is what its rule says, for ever, and independent in every direction."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from gpt2_sampler.decoding.noise import (
    APART,
    GROUP,
    MEMBERS,
    block_tops,
    blocks_of,
    key,
    noise,
    of_blocks,
)

MASK = (1 << 64) - 1


def noise_of(stream: tuple[int, ...], place: int, ids: np.ndarray) -> np.ndarray:
    return noise(np.array([key(stream, place)], np.uint64), ids[None])[0]


def bits(own_key: int, counter: int) -> int:
    """splitmix64, in plain numbers."""
    x = (own_key + counter * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def time_of(random: int) -> float:
    return -math.log(((random >> 12) + 0.5) / 2**52)


def slow_noise(stream: tuple[int, ...], place: int, token: int) -> float:
    """The rule as it is written down, in plain numbers."""
    text = " ".join(f"{number:x}" for number in (*stream, place))
    own_key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    group, inside = divmod(token, 65536)
    member, column = divmod(inside, 2048)
    of_block = bits(own_key, (1 << 32) + group * 2048 + column)
    time = time_of(of_block) / 32
    if of_block % 32 != member:
        time += time_of(bits(own_key, token))
    return -math.log(time)


def test_the_noise_is_what_its_rule_says() -> None:
    ids = np.array([0, 1, 2047, 2048, 40503, 50256, 65535, 65536, 70001, 2**20])
    for stream, place in (((0, 0), 0), ((2**70, 3), 1000)):
        slow = [slow_noise(stream, place, token) for token in ids.tolist()]
        np.testing.assert_allclose(noise_of(stream, place, ids), slow, rtol=1e-12)


def test_the_noise_is_what_it_always_was() -> None:
    """If this fails, every seed that anybody noted down tells another story."""
    assert key((0, 0), 0) == 14680368682093457738
    assert key((1, 2), 3) == 14845275222823702396
    found = noise_of((1, 2), 3, np.array([0, 11, 50256, 65536]))
    np.testing.assert_allclose(
        found,
        [-0.030559565470648763, 0.7848662586895224, -1.4465896469900166, 0.4130991607073545],
        rtol=1e-12,
    )


def test_any_whole_numbers_are_a_stream() -> None:
    streams = [(0,), (0, 0), (1, 23), (12, 3), (2**64, 0), (2**64 + 1, 0), (10**5000, 0)]
    assert len({key(stream, 0) for stream in streams}) == len(streams)


def uniform(gumbel: np.ndarray) -> np.ndarray:
    return np.exp(-np.exp(-gumbel))


def is_flat(counts: np.ndarray) -> bool:
    """Whether a chi-square test finds nothing: as many in each cell, four deviations allowed."""
    expected = counts.mean()
    chi_square = ((counts - expected) ** 2 / expected).sum()
    freedom = counts.size - 1
    return abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


IDS = np.arange(GROUP)
HERE = noise_of((7, 0), 100, IDS)


def test_the_noise_has_gumbels_distribution() -> None:
    counts, _ = np.histogram(uniform(HERE), bins=200, range=(0, 1))
    assert is_flat(counts)


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(noise_of((7, 0), 101, IDS), id="the next place"),
        pytest.param(noise_of((7, 1), 100, IDS), id="the next sample"),
        pytest.param(noise_of((8, 0), 100, IDS), id="the next seed"),
        pytest.param(np.roll(HERE, 1), id="the next token"),
        pytest.param(np.roll(HERE, APART), id="the next token of the block"),
        pytest.param(np.roll(HERE, 5 * APART), id="another token of the block"),
    ],
)
def test_the_noise_is_independent_of(there: np.ndarray) -> None:
    counts, _, _ = np.histogram2d(uniform(HERE), uniform(there), bins=20, range=[(0, 1), (0, 1)])
    assert is_flat(counts)


def test_a_block_of_noise_is_independent_altogether() -> None:
    """Its largest is where and what it is by chance, and so is the second largest."""
    blocks = HERE.reshape(MEMBERS, APART)
    ordered = np.argsort(blocks, axis=0)
    counts = np.zeros([MEMBERS, MEMBERS])
    np.add.at(counts, (ordered[-1], ordered[-2]), 1)
    off_diagonal = counts[~np.eye(MEMBERS, dtype=bool)]
    assert is_flat(off_diagonal)
    sorted_times = np.sort(np.exp(-blocks), axis=0)
    gaps = np.diff(sorted_times, axis=0) * np.arange(MEMBERS - 1, 0, -1)[:, None]  # each Exp(1)
    counts, _ = np.histogram(np.exp(-gaps), bins=100, range=(0, 1))
    assert is_flat(counts)


@pytest.mark.parametrize("n_vocab", [31, 2048, 2053, 50257, GROUP, GROUP + 5000])
def test_blocks_are_what_their_tokens_say(n_vocab: int) -> None:
    keys = np.array([key((3, 1), place) for place in range(2)], np.uint64)
    blocks, starts = blocks_of(n_vocab)
    shortest, holder = of_blocks(keys, blocks)
    tokens = starts[:, None] + np.arange(MEMBERS) * APART  # [D, MEMBERS]
    assert sorted(tokens[tokens < n_vocab].tolist()) == list(range(n_vocab))
    for row in range(2):
        all_noise = noise(keys[row : row + 1], tokens.reshape(1, -1)).reshape(tokens.shape)
        assert (all_noise.argmax(axis=1) == holder[row]).all()
        np.testing.assert_array_equal(all_noise.max(axis=1), -np.log(shortest[row]))
    logits = np.random.default_rng(n_vocab).normal(size=n_vocab).astype(np.float32)
    inside = np.where(tokens < n_vocab, tokens, tokens[:, :1])
    np.testing.assert_array_equal(block_tops(logits), logits[inside].max(axis=-1))
