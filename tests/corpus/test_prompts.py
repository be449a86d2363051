"""Every line of a file is a prompt or what is wrong with it; none ends the run."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from gpt2_sampler.corpus.prompts import Prompt, open_prompts, read_prompts
from gpt2_sampler.errors import UsageError


def plain(content: bytes, separator: str | None = None) -> list[Prompt]:
    return list(read_prompts(io.BytesIO(content), "a", json_lines=False, separator=separator))


def of_json(*lines: object) -> list[Prompt]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return list(read_prompts(io.BytesIO(text.encode()), "a", json_lines=True))


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_same_words_are_the_same_prompts_in_any_coding(codec: str, end: str) -> None:
    content = end.join(["Ein König", "", "東京", ""]).encode(codec)
    assert [(p.line, p.text) for p in plain(content)] == [(1, "Ein König"), (3, "東京")]


def test_a_line_that_is_no_text_stands_alone() -> None:
    good, bad, last = plain(b"good\nb\xffd\nlast")
    assert (good.problem, last.problem) == ("", "")
    assert (bad.line, bad.text, bad.problem) == (2, "b\ufffdd", bad.problem)
    assert bad.problem.startswith("it is not text in UTF-8 (byte FF at 1")


def test_a_separator_stands_between_prompts_of_several_lines() -> None:
    prompts = plain(b"one\ntwo\n---\n\n---\nthree\n\n---x\n", "---")
    assert [(p.line, p.text) for p in prompts] == [(1, "one\ntwo"), (6, "three\n\n---x")]


def test_a_line_of_json_has_a_prompt_an_id_and_settings() -> None:
    [prompt] = of_json({"prompt": "a\nb", "id": 7, "top_k": 40})
    assert prompt == Prompt(1, "a\nb", 7, {"top_k": 40})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('"text"', "it is not a JSON object"),
        ({"text": "a"}, "it is not a JSON object"),
        ({"prompt": 3}, "it is not a JSON object"),
        ({"prompt": ""}, "its prompt is empty"),
        ({"prompt": "\ud83d"}, "its prompt contains half a character"),
        ({"prompt": "a", "id": [7]}, "its id must be a text, a number of 64 bits, true or false, "),
        ({"prompt": "a", "id": 2**63}, "its id must be"),
        ({"prompt": "a", "id": "\ud83d"}, "its id must be"),
        ('{"prompt": "a", "id": 1e999}', "its id must be"),
        ('{"prompt": "a", "id": NaN}', "it is not JSON (NaN is no JSON)"),
        ({"custom_id": "a", "body": {"messages": []}}, "it is not a JSON object with a text"),
    ],
)
def test_a_bad_line_of_json_says_why_and_the_next_is_read(line: object, problem: str) -> None:
    bad, good = of_json(line, {"prompt": "good"})
    assert bad.problem.startswith(problem)
    assert (good.line, good.text, good.problem) == (2, "good", "")


@pytest.mark.parametrize("id", ["7", "", 7, -1, 1.5, True, False])
def test_an_id_is_any_json_value_that_is_no_list_or_object(id: object) -> None:
    [prompt] = of_json({"id": id, "prompt": "a"})
    assert (prompt.id, type(prompt.id), prompt.problem) == (id, type(id), "")


def test_a_line_keeps_its_own_columns_and_its_id_whatever_is_wrong_with_it() -> None:
    good, bad, typo = of_json(
        {"prompt": "a", "label": 1, "reference": {"b": [2]}, "top_k": None},
        {"prompt": 3, "id": "x", "label": 0},
        {"prompt": "a", "topk": 3},
    )
    assert good == Prompt(1, "a", None, {}, "", {"label": 1, "reference": {"b": [2]}})
    assert (bad.id, bad.extra, bool(bad.problem)) == ("x", {"label": 0}, True)
    assert typo.settings == {"topk": 3}


def test_a_request_of_a_batch_file_is_a_prompt() -> None:
    body = {"model": "m", "prompt": "a", "max_tokens": 5, "top_p": 0.5, "n": 1, "stream": False}
    same, several = of_json(
        {"custom_id": "r-1", "method": "POST", "url": "/v1/completions", "body": body},
        {"custom_id": "r-2", "body": body | {"n": 2}},
    )
    assert (same.id, same.text, same.problem) == ("r-1", "a", "")
    assert same.settings == {"length": 5, "top_p": 0.5}
    assert same.extra == {"method": "POST", "url": "/v1/completions", "model": "m"}
    assert several.settings["n"] == 2


def test_a_file_may_be_packed(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    with open_prompts(path) as file:
        assert [p.text for p in read_prompts(file, "a", json_lines=False)] == ["one", "two"]
    whole = gzip.compress(b"one\ntwo\n")
    for damaged in (whole[:-3], whole[:10] + b"\xff" * 9 + whole[19:], b"one\n", whole + b"x"):
        path.write_bytes(damaged)
        with open_prompts(path) as file, pytest.raises(UsageError, match="a cannot be read"):
            list(read_prompts(file, "a", json_lines=False))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="cannot be read"):
            open_prompts(path)
