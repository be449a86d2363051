from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gpt2_sampler.decoding.generate import continue_text, continue_texts, generate
from gpt2_sampler.decoding.request import stream_of
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.errors import UsageError
from gpt2_sampler.opening import load_tokenizer
from gpt2_sampler.tokenizer.load import Tokenizer
from tests.checkpoints import ROOT, byte_vocabulary
from tests.decoding.test_batch import FRESH, PLAIN, C, V, requests, slow_text
from tests.fake_engine import FakeEngine

PROMPT = [1, 5, 2]


@pytest.mark.parametrize("rows", [1, 3, 8])
@pytest.mark.parametrize("sampling", [PLAIN, FRESH])
def test_samples_come_whole_and_in_order(rows: int, sampling: Sampling) -> None:
    samples = generate(
        FakeEngine(V, C), PROMPT, 9, length=17, seed=3, sampling=sampling, ends=[7], rows=rows
    )
    expected = [
        slow_text(replace(request, stream=stream_of(3, n, PROMPT)))
        for n, request in enumerate(requests(9, sampling=sampling))
    ]
    assert list(samples) == [[token for token in sample if token != 7] for sample in expected]


def test_any_samples_can_be_asked_for_without_an_end() -> None:
    engine = FakeEngine(V, C)
    endless = generate(engine, [1, 5, 2], itertools.count(), length=17, seed=3, rows=2)
    first = list(itertools.islice(endless, 5))
    [third, first_again] = generate(engine, [1, 5, 2], [2, 0], length=17, seed=3)
    assert (first[2], first[0]) == (third, first_again)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokens": []}, "at least one token"),
        ({"tokens": [V]}, f"no {V}"),
        ({"length": 0}, "length 0"),
        ({"tokens": [1] * (C + 1)}, f"{C + 1} tokens, more than the model's window of {C}"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 1.0}, "seed must be a whole number"),
        ({"samples": -2}, "samples must be"),
        ({"rows": 0}, "rows must be 1 or more"),
    ],
    ids=str,
)
def test_what_is_impossible_is_refused_at_once(change: dict[str, object], said: str) -> None:
    options = {"tokens": [1], "length": 5, "samples": [0]} | change
    with pytest.raises(UsageError, match=said):
        generate(FakeEngine(V, C), **options)  # type: ignore[arg-type]


def test_a_prompt_may_fill_the_window() -> None:
    [tokens] = generate(FakeEngine(V, C), [1] * C, length=1)
    assert len(tokens) == 1


@pytest.mark.parametrize("window", [1, 2, 3, 13])
def test_without_a_length_a_prompt_gets_half_a_window_and_nothing_a_whole_one(
    window: int, tmp_path: Path
) -> None:
    engine, tokenizer = FakeEngine(258, window), load_tokenizer(byte_vocabulary(tmp_path))
    lengths = [("a", None, max(1, window // 2)), ("", None, window), ("a", 1, 1), ("", 1, 1)]
    for prompt, length, n_tokens in lengths:
        *_, last = continue_text(engine, tokenizer, prompt, length=length, ignore_eot=True)
        assert len(last.text.tokens) == n_tokens


# Text in, text out.


@pytest.fixture(scope="module")
def demo() -> tuple[Engine, Tokenizer]:
    return load_engine("demo", "cpu"), load_tokenizer("demo")


def run(script: str, *flags: str) -> str:
    command = [sys.executable, str(ROOT / "src" / script), "--model_name", "demo", *flags]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


@pytest.mark.parametrize("prompt", ["Once upon a time", "The king's daughter said, «"])
def test_a_text_from_python_is_the_one_that_the_command_writes(
    prompt: str, demo: tuple[Engine, Tokenizer]
) -> None:
    flags = ["--prompt", prompt, "--nsamples", "2", "--length", "40", "--seed", "7"]
    shown = run("interactive_conditional_samples.py", *flags, "--top_k", "40", "--stop", ".")
    options = {"length": 40, "seed": 7, "sampling": Sampling(top_k=40), "stop": ["."]}
    for sample in range(2):
        pieces = continue_text(*demo, prompt, sample=sample, **options)  # type: ignore[arg-type]
        text = "".join(piece.characters for piece in pieces)
        assert text and f" SAMPLE {sample + 1} {'=' * 40}\n{text}\n" in shown
    both = continue_texts(*demo, [prompt, "Then"], 2, **options)  # type: ignore[arg-type]
    assert [text.characters for text in both][1] == text


def test_a_text_out_of_nothing_is_the_one_that_the_command_writes(
    demo: tuple[Engine, Tokenizer],
) -> None:
    flags = ["--nsamples", "1", "--length", "60", "--seed", "3", "--temperature", "0.7"]
    shown = run("generate_unconditional_samples.py", *flags)
    pieces = continue_text(*demo, length=60, seed=3, sampling=Sampling(temperature=0.7))
    assert shown.partition("\n")[2] == "".join(piece.characters for piece in pieces) + "\n"


def test_log_probabilities_come_with_the_pieces(demo: tuple[Engine, Tokenizer]) -> None:
    pieces = [*continue_text(*demo, "Once upon a time", length=9, seed=1, top=3)]
    tokens = [token for piece in pieces for token, _ in piece.tokens]
    assert len(tokens) == len(pieces[-1].text.choices) == 9
    assert all(token and token.choice and len(token.top) == 3 for token in tokens)


def test_one_text_that_several_threads_take_from_stays_whole(
    demo: tuple[Engine, Tokenizer],
) -> None:
    """Whoever comes while another one waits for its piece is told so by Python."""
    pieces, taken = continue_text(*demo, "Once", length=30, seed=1), list[str]()

    def take() -> None:
        while pieces.gi_frame is not None:  # type: ignore[attr-defined]
            with contextlib.suppress(ValueError):
                taken.extend(piece.characters for piece in pieces)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(take) for _ in range(4)]:
            done.result()
    expected = continue_text(*demo, "Once", length=30, seed=1)
    assert sorted(taken) == sorted(piece.characters for piece in expected)


def test_without_a_seed_each_text_is_another_one(demo: tuple[Engine, Tokenizer]) -> None:
    texts = {text.characters for text in continue_texts(*demo, ["Once"] * 3, length=20)}
    again = {text.characters for text in continue_texts(*demo, ["Once"], length=20)}
    assert len(texts) == 1 and texts != again


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": b"Once"}, "a prompt must be text"),
        ({"prompt": " king" * 600}, "more than the model's window of 512"),
        ({"length": 0}, "length must be 1 or more"),
        ({"length": 1.0}, "length must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"stop": "."}, "stop must be texts"),
        ({"stop": [""]}, "stop must be texts"),
        ({"sampling": None}, "sampling must be a Sampling"),
        ({"top": -1}, "top must be 0 or more"),
        ({"sample": -1}, "a stream is of whole numbers"),
    ],
    ids=str,
)
def test_what_cannot_be_continued_is_refused_at_once(
    change: dict[str, object], said: str, demo: tuple[Engine, Tokenizer]
) -> None:
    with pytest.raises(UsageError, match=said):
        continue_text(*demo, **({"prompt": "Once"} | change))  # type: ignore[arg-type]


def test_prompts_are_not_one_text(demo: tuple[Engine, Tokenizer]) -> None:
    with pytest.raises(UsageError, match="prompts must be several texts"):
        continue_texts(*demo, "Once")
