"""What programs are told of a text adds up, and is where it is said to be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2_sampler.decoding.score import Place
from gpt2_sampler.seeing.report import report
from gpt2_sampler.seeing.scored import Scored
from gpt2_sampler.seeing.spans import find_spans
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, Encoder
from tests.readers import load_with_datasets

BYTES = Encoder({symbol: number for number, symbol in enumerate(BYTE_SYMBOLS)}, [])
TEXTS = [
    "Don't  stop, é€😀 天地 \u0301a\n\tb ",
    " begins with a space",
    "\u2028\x85\x0b\x1c",
    "𝓦𝓸𝓻𝓭𝓼 👩‍👩‍👧",
    "a",
]


def scored(text: str, first: bool = False) -> Scored:
    """Each byte is a token; first says whether the first one is scored."""
    tokens = BYTES.encode(text)
    places = [
        Place(token, -0.5 - n, 2, ((5, -0.25), (token, -0.5 - n))) for n, token in enumerate(tokens)
    ][0 if first else 1 :]
    tops = [["x", "y"]] * len(places)
    looks = [chr(token) for token in tokens]
    spans = find_spans(BYTES, tokens)
    return Scored("a name", tokens, looks, places, tops, len(tokens), spans=spans)


def told(text: Scored) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(report(text, words=True), allow_nan=False))
    return found


def require_places(parts: list[dict[str, Any]], text: str) -> None:
    for part in parts:
        assert text[part["start"] : part["end"]] == part["text"]
        if part["text"] and "\ufffd" not in part["text"]:
            raw = text.encode()[part["start_byte"] : part["end_byte"]]
            assert part["text"].encode().endswith(raw)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("first", [False, True])
def test_places_are_the_whole_text(text: str, first: bool) -> None:
    found = told(scored(text, first))
    assert found["text"] == "".join(place["text"] for place in found["places"]) == text
    ends = [place["end_byte"] for place in found["places"]]
    assert [0, *ends] == [*(place["start_byte"] for place in found["places"]), len(text.encode())]
    require_places(found["places"], text)
    assert [place["id"] for place in found["places"]] == BYTES.encode(text)


@given(st.text(min_size=1))
def test_words_are_what_splitting_gives_and_add_up(text: str) -> None:
    found = told(scored(text, first=True))
    assert [word["text"] for word in found["words"] if word["text"]] == text.split()
    assert math.fsum(word["logprob"] for word in found["words"]) == pytest.approx(found["logprob"])
    assert sum(word["tokens"] for word in found["words"]) == found["tokens"]
    require_places(found["words"], text)
    for word in found["words"]:
        raw = text.encode()[word["start_byte"] : word["end_byte"]]
        assert raw.decode() == word["text"]


def test_a_word_of_which_a_token_is_not_scored_has_no_figure() -> None:
    words = told(scored("Don't stop"))["words"]
    assert [word["logprob"] is None for word in words] == [True, False]


@pytest.mark.parametrize("first", [False, True])
def test_all_places_have_the_same_fields(first: bool) -> None:
    places = told(scored("ab", first))["places"]
    assert len({tuple(place) for place in places}) == 1
    unscored: dict[str, Any] = {"logprob": None, "rank": None, "top": []}
    assert (places[0] == places[0] | unscored) == (not first)
    assert places[1]["top"][1] == {"id": ord("b"), "text": "y", "logprob": -1.5}


def test_figures_are_those_of_people() -> None:
    text = scored("Once upon")
    found = told(text)
    assert found["perplexity"] == text.perplexity
    assert sum(found["ranks"].values()) == found["scored"] == 8


def test_what_a_model_finds_impossible_is_null() -> None:
    place = Place(2, -math.inf, 9, ((5, 0.0),))
    text = Scored("x", [1, 2], ["a", "b"], [place], [["c"]], 1, spans=find_spans(BYTES, [97, 98]))
    assert text.perplexity == math.inf
    found = told(text)
    assert found["perplexity"] is found["logprob"] is found["places"][1]["logprob"] is None


# What others read.


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lines") / "scores.jsonl"
    found = [report(scored(text), words=True) for text in TEXTS]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in found), encoding="ascii")
    return path


def check(texts: list[str], places: list[list[dict[str, Any]]]) -> None:
    assert texts == TEXTS
    assert ["".join(place["text"] for place in some) for some in places] == TEXTS


def test_pandas_reads_all_texts(lines: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = pandas.read_json(lines, lines=True)
    check(list(found["text"]), list(found["places"]))


def test_polars_reads_all_texts(lines: Path) -> None:
    polars = pytest.importorskip("polars")
    found = polars.read_ndjson(lines)
    check(found["text"].to_list(), found["places"].to_list())


def test_duckdb_reads_all_texts(lines: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    rows = duckdb.sql(f"select text, places from read_json('{lines}')").fetchall()
    check([text for text, _ in rows], [places for _, places in rows])


def test_pyarrow_reads_all_texts(lines: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.json

    found = pyarrow.json.read_json(lines)
    check(found["text"].to_pylist(), found["places"].to_pylist())


def test_datasets_reads_all_texts(
    lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_with_datasets(lines, tmp_path, monkeypatch)
    check(found["text"][:], found["places"][:])
