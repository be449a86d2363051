"""The figures, computed once more in plain NumPy from the logits of whole windows."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt2_sampler.cli.commands.scoring import compare, in_order, scored_texts
from gpt2_sampler.cli.flags.score_settings import ScoreSettings
from gpt2_sampler.cli.session.loading import Model
from gpt2_sampler.decoding.score import score
from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.seeing.ranks import surprise
from gpt2_sampler.seeing.scored import Scored
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, END_OF_TEXT_NAME, Encoder
from gpt2_sampler.tokenizer.tokenizer import Tokenizer
from tests.checkpoints import ROOT
from tests.cli.commands.test_unconditional import complete, environment
from tests.fake_command import make_folder
from tests.fake_engine import FakeEngine

BYTES = Encoder({s: token for token, s in enumerate([*BYTE_SYMBOLS, END_OF_TEXT_NAME])}, [])
START = BYTES.start_of_text
V, C = 257, 41
TEXT = "Once upon a time there was a king, é€😀, and then there was none."


def scored(text: str = TEXT, tokenizer: Tokenizer = BYTES, **flags: object) -> Scored:
    settings = ScoreSettings(**flags)  # type: ignore[arg-type]
    model = Model(tokenizer, FakeEngine(tokenizer.n_vocab, C))
    [one] = scored_texts([("text", text)], model, settings)
    return one


def recipe(stride: int) -> tuple[list[float], list[float]]:
    """Log-probabilities and the mean of each window, in the order and with the labels of the
    strided recipe in transformers' documentation (Perplexity of fixed-length models)."""
    tokens, engine = list(TEXT.encode()), FakeEngine(V, C)
    logprobs, means, before = [], [], 0
    for begin in range(0, len(tokens), stride):
        end = min(begin + C, len(tokens))
        logits = engine.logits(tokens[begin:end]).astype(np.float64)
        likely = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        targets = range(max(begin + 1, before), end)
        found = [likely[at - 1 - begin, tokens[at]] for at in targets]
        logprobs += found
        means.append(float(np.mean(found)))
        before = end
        if end == len(tokens):
            break
    return logprobs, means


@pytest.mark.parametrize("stride", [20, 7, 40])
def test_figures_are_those_of_the_strided_recipe(stride: int) -> None:
    logprobs, means = recipe(stride)
    text = scored(stride=stride)
    found = [place.logprob for place in text.places]
    np.testing.assert_allclose(found, logprobs, atol=1e-5)
    assert text.logprob == pytest.approx(sum(logprobs))
    assert text.perplexity == pytest.approx(math.exp(-np.mean(logprobs)))
    assert text.bits_per_byte == pytest.approx(-sum(logprobs) / math.log(2) / len(logprobs))
    # The recipe weighs a window by one token less than it scores, but for the first.
    first, *others = windows(stride)
    weights = [first, *(n - 1 for n in others)]
    ours = [np.mean(part) for part in np.split(np.array(found), np.cumsum(windows(stride))[:-1])]
    assert np.average(ours, weights=weights) == pytest.approx(np.average(means, weights=weights))


def windows(stride: int) -> list[int]:
    """How many tokens each window scores."""
    n_tokens, before, counts = len(TEXT.encode()), 1, []
    for begin in range(0, n_tokens, stride):
        end = min(begin + C, n_tokens)
        counts.append(end - before)
        before = end
        if end == n_tokens:
            break
    return counts


def test_without_a_stride_half_the_window_is_taken() -> None:
    assert scored().places == scored(stride=C // 2).places


def test_a_single_token_has_no_figures() -> None:
    text = scored("O")
    assert (text.perplexity, text.bits_per_byte, text.logprob) == (None, None, 0)


def test_the_surprise_is_in_bits() -> None:
    assert surprise(math.log(0.25)) == pytest.approx(2)
    assert str(surprise(0.0)) == "0.0"


@pytest.mark.parametrize("text", [TEXT, TEXT[:20], "O"])
def test_with_a_start_of_text_every_token_is_scored_after_it(text: str) -> None:
    assert START is not None
    found, tokens = scored(text, bos=True), list(text.encode())
    engine = FakeEngine(V, C)
    assert found.tokens == [place.token for place in found.places] == tokens
    np.testing.assert_array_equal(
        [place.logprob for place in found.places], score(engine, [START, *tokens])
    )
    seen = [START, *tokens][:C]
    for place, logits in zip(found.places, engine.logits(seen[:-1]).astype(float), strict=False):
        assert place.logprob == pytest.approx(
            logits[place.token] - np.log(np.exp(logits).sum()), abs=1e-5
        )
        assert place.rank == np.argsort(-logits).tolist().index(place.token) + 1  # as GLTR ranks
    assert found.bits_per_byte == pytest.approx(surprise(found.logprob) / len(tokens))


@pytest.mark.parametrize("before", [(256,), (65, 256)])
def test_what_a_vocabulary_puts_before_a_text_is_no_part_of_it(before: tuple[int, ...]) -> None:
    tokenizer = copy.copy(BYTES)
    tokenizer.before = before
    found = scored("world", tokenizer)
    assert [*before, *found.tokens] == tokenizer.encode("world")
    assert [place.token for place in found.places] == found.tokens
    assert found.n_bytes == 5
    assert scored("world", tokenizer, bos=True).places == found.places


def test_a_vocabulary_without_a_start_of_text_has_none() -> None:
    characters = Encoder({symbol: token for token, symbol in enumerate(BYTE_SYMBOLS)}, [])
    with pytest.raises(UsageError, match="no start of text; leave out --bos"):
        scored(tokenizer=characters, bos=True)


def test_names_of_special_tokens_are_read_as_in_prompts() -> None:
    text = f"a{END_OF_TEXT_NAME}b"
    assert scored(text).tokens == list(text.encode())
    assert scored(text, special_tokens=True).tokens == [ord("a"), START, ord("b")]


def test_texts_are_ordered_by_any_figure_and_those_without_one_come_last() -> None:
    texts = [scored(text) for text in ("aaaa", "z", "Once upon", "bb")]
    for by in ("perplexity", "logprob", "tokens", "bits_per_byte"):
        for sign in ("", "-"):
            ordered = in_order(texts, sign + by)
            values = [text.figures()[by] for text in ordered if text.figures()[by] is not None]
            assert values == sorted(values, reverse=bool(sign))
    assert in_order(texts, "-perplexity")[-1] is texts[1]


# The command.


@pytest.fixture
def files(tmp_path: Path) -> Path:
    make_folder(tmp_path / "fake")
    texts = {"a.txt": "Once upon\n", "b.txt": "zzzz zzzz", "c.txt": "a\n\nbé\n"}
    for name, text in {**texts, "many.txt": "a\n" * 151}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def scoring(folder: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, str(ROOT / "tests" / "fake_command.py"), "gpt2-score"]
    flags = ["--models_dir", str(folder), "--model_name", "fake", *words]
    return complete([*program, *flags], stdin, cwd=folder, env=environment(None))


def told(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_text_comes_from_an_argument_a_file_or_stdin(files: Path) -> None:
    [given] = told(scoring(files, "--json", "--text", "Once upon"))
    [read] = told(scoring(files, "--json", "a.txt"))
    [piped] = told(scoring(files, "--json", stdin=b"Once upon\n"))
    assert [text["name"] for text in (given, read, piped)] == ["text", "a.txt", "stdin"]
    assert given["places"] == read["places"] == piped["places"]


def test_several_texts_make_a_table_in_the_order_that_is_asked_for(files: Path) -> None:
    words = "a.txt", "b.txt", "c.txt"
    title, *rows = scoring(files, *words).stdout.decode().splitlines()
    assert title.split() == ["perplexity", "bits/byte", "logprob", "tokens"]
    assert [row.split()[-1] for row in rows] == list(words)
    by_logprob = scoring(files, *words, "--sort", "-logprob").stdout.decode().splitlines()[1:]
    values = [float(row.split()[2].replace(",", "")) for row in by_logprob]
    assert values == sorted(values, reverse=True)
    assert sorted(by_logprob) == sorted(rows)


def test_lines_are_texts_of_their_own(files: Path) -> None:
    lines = told(scoring(files, "--json", "--lines", "c.txt"))
    assert [(line["name"], line["tokens"]) for line in lines] == [("1", 1), ("3", 3)]
    both = told(scoring(files, "--json", "--lines", "a.txt", "c.txt"))
    assert [line["name"] for line in both] == ["a.txt:1", "c.txt:1", "c.txt:3"]


def test_each_token_has_a_line_and_the_text_goes_plain_into_a_pipe(files: Path) -> None:
    lines = scoring(files, "--text", "aé", "--tokens", "--show").stdout.decode().splitlines()
    assert lines[0] == "a<C3><A9>é"
    assert [line.split()[-1] for line in lines[2:4]] == ['"<C3>"', '"<A9>é"']
    assert "\x1b" not in "".join(lines)


def test_each_word_has_a_line(files: Path) -> None:
    text = ["--text", "Don't  stop, é", "--words"]
    lines = [line.split() for line in scoring(files, *text).stdout.decode().splitlines()]
    assert [line[1:] for line in lines[:3]] == [["5", '"Don\'t"'], ["7", '"stop,"'], ["3", '"é"']]
    assert lines[0][0] == "-"
    lines = [line.split() for line in scoring(files, *text, "--bos").stdout.decode().splitlines()]
    total = next(float(line[1]) for line in lines if line[0] == "logprob")
    assert sum(float(line[0]) for line in lines[:3]) == pytest.approx(total, abs=2e-4)


def test_a_line_of_json_is_one_line_to_every_reader(files: Path) -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\x7f\r\nj"
    name = os.fsdecode(b"\xff\xe2\x80\xa8.txt")
    (files / name).write_bytes(text.encode())
    done = scoring(files, "--json", "--words", "a.txt", name)
    assert len(done.stdout.decode().splitlines()) == 2
    found = [json.loads(line) for line in done.stdout.decode("ascii").splitlines()]
    assert [one["name"] for one in found] == ["a.txt", "?\u2028.txt"]
    assert found[1]["text"] == text.replace("\r\n", "\n")
    [both] = told(scoring(files, "--compare_settings", "--json", name))
    assert both["name"] == "?\u2028.txt"


def test_pages_and_pictures_are_written_whole(files: Path) -> None:
    done = scoring(files, "a.txt", "--html", "page.html", "--png", "curve.png")
    assert done.returncode == 0, done.stderr
    assert (files / "page.html").read_text(encoding="utf-8").endswith("</html>\n")
    assert (files / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert not list(files.glob(".*"))


def test_a_name_may_have_any_bytes(files: Path) -> None:
    name = os.fsdecode(b"\xff\x1b[2J<b>.txt")
    (files / name).write_text("Once upon a time")
    done = scoring(files, name, "--html", "page.html", "--png", "curve.png")
    assert done.stderr.decode().splitlines() == ["written to page.html", "written to curve.png"]
    page = (files / "page.html").read_text(encoding="utf-8")
    assert "<title>?\x1b[2J&lt;b&gt;.txt, as" in page


def test_settings_are_compared_for_people_and_for_programs(files: Path) -> None:
    lines = scoring(files, "--compare_settings", "--text", "Once").stdout.decode().splitlines()
    assert lines[0] == 'the token after "Once"'
    assert [line.split()[0] for line in lines[2:5]] == ["entropy", "tokens", "mass"]
    assert len(lines) == 15
    [both] = told(scoring(files, "--compare_settings", "--json", "--text", "Once"))
    assert [effect["kept"] for effect in both["settings"]][:3] == [257, 257, 40]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["none.txt"], "no file none.txt; for the text itself: --text TEXT"),
        (["--text", ""], "is empty"),
        (["--text", "a", "b.txt"], "not both"),
        (["--sort", "colour", "a.txt"], "--sort takes one of"),
        (["--stride", "0", "a.txt"], "--stride must be 1 or more"),
        (["--stride", "97", "a.txt"], "stride must be 1 to 96"),
        (["--compare_settings", "--html", "x", "a.txt"], "--compare_settings"),
        (["--compare_settings", "--words", "a.txt"], "--compare_settings"),
        (["--html", "none/page.html", "a.txt"], "there is no folder none"),
        (["--png", ".", "a.txt"], "it is a folder"),
        (["--html", "/dev/null", "a.txt"], "it is a pipe or a device"),
        (["--html", "a.txt", "a.txt"], "a.txt would be read and replaced"),
        (["--png", "./a.txt", "a.txt"], "a.txt would be read and replaced"),
        (["--html", "x", "--png", "x", "a.txt"], "x would be written twice"),
        (["--html=", "a.txt"], "'' cannot be a path"),
        (["--lines"], "there is no text"),
        (["--lines", "--png", "x.png", "many.txt"], "room for 150 texts; there are 151"),
        (["."], "cannot be read"),
    ],
)
def test_a_mistake_is_one_line(files: Path, words: list[str], says: str) -> None:
    done = scoring(files, *words)
    [line] = done.stderr.decode().splitlines()
    assert says in line and line.startswith("error: ")
    assert done.returncode == 2


def test_logits_that_are_no_numbers_compare_no_settings() -> None:
    class Diverged(FakeEngine):
        def _logits(self, seen: Any) -> Any:
            return super()._logits(seen) * np.nan

    model = Model(BYTES, Diverged(V, C))
    with pytest.raises(CheckpointError, match="not numbers"):
        compare("text", TEXT, model, ScoreSettings(compare_settings=True))


def test_a_hyphen_is_stdin(tmp_path: Path) -> None:
    make_folder(tmp_path / "fake")
    program = [sys.executable, str(ROOT / "tests" / "fake_command.py")]
    flags = ["-", "--models_dir", str(tmp_path), "--model_name", "fake"]
    for name, more in (("gpt2-score", []), ("gpt2-conditional", ["--seed", "1"])):
        done = subprocess.run(
            [*program, name, *flags, *more],
            input=b"Once upon",
            env=environment(),
            stdout=subprocess.PIPE,
            check=True,
        )
        assert done.stdout
