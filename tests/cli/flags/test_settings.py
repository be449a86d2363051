from __future__ import annotations

import dataclasses

import pytest

from gpt2_sampler.cli.flags.corpus_settings import GenerateSettings
from gpt2_sampler.cli.flags.settings import (
    InteractiveSettings,
    SamplingSettings,
    ShowSettings,
    change,
    list_changeable,
)
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import UsageError

IMPOSSIBLE = [
    {"seed": -1},
    {"seed": 2**32},
    {"nsamples": -1},
    {"batch_size": 0},
    {"length": 0},
    {"temperature": -1.0},
    {"temperature": float("nan")},
    {"temperature": float("inf")},
    {"top_k": -3},
    {"top_p": 0.0},
    {"top_p": 1.5},
    {"top_p": float("nan")},
    {"repetition_penalty": 0.0},
    {"no_repeat_ngram": -1},
    {"stop": ("",)},
    {"device": "tpu"},
    {"precision": "int4"},
    {"threads": 0},
    {"threads": 1025},
    {"length": 2**31},
]


@pytest.mark.parametrize("flags", IMPOSSIBLE, ids=str)
@pytest.mark.parametrize("settings", [GenerateSettings, InteractiveSettings])
def test_impossible_values_are_mistakes_that_name_flag_and_value(
    settings: type[GenerateSettings], flags: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(flags))} "):
        settings(**flags)  # type: ignore[arg-type]


def test_every_setting_of_the_draw_has_a_flag() -> None:
    settings = InteractiveSettings(
        min_p=0.1, presence_penalty=0.5, frequency_penalty=-1, logit_bias='{"7": -100, "5": 1.5}'
    )
    assert settings.sampling == Sampling(
        min_p=0.1, presence_penalty=0.5, frequency_penalty=-1, logit_bias={5: 1.5, 7: -100}
    )
    for bias in ("x", "[1]", '{"a": 1}', "5", "[" * 10_000):
        with pytest.raises(UsageError, match="--logit_bias takes JSON"):
            InteractiveSettings(logit_bias=bias)


def test_the_defaults_are_those_of_openai_and_change_no_logits() -> None:
    generate, interactive = GenerateSettings(), InteractiveSettings()
    assert (generate.nsamples, interactive.nsamples) == (0, 1)
    assert (generate.length, generate.rows, generate.seed) == (None, 1, None)
    assert generate.sampling == Sampling()


def test_only_without_prompts_can_samples_be_endless() -> None:
    with pytest.raises(UsageError):
        InteractiveSettings(nsamples=0)


def test_every_sampling_flag_can_be_changed_and_put_back() -> None:
    settings = InteractiveSettings(seed=1)
    words = {"ignore_eot": "True", "temperature": "0.7", "top_p": "0.9", "repetition_penalty": "2"}
    words |= {"min_p": "0.1", "presence_penalty": "1", "frequency_penalty": "-1"}
    words |= {"logit_bias": '{"5": 1}'}
    for field in dataclasses.fields(SamplingSettings):
        new = change(settings, field.name, words.get(field.name, "7"))
        assert getattr(new, field.name) not in (field.default, getattr(settings, field.name))
        back = change(new, field.name, "")
        assert getattr(back, field.name) == field.default
        assert back == change(settings, field.name, "")


def test_what_is_shown_has_a_line_for_each_sampling_flag() -> None:
    lines = list_changeable(InteractiveSettings(stop=("a b", "c"))).splitlines()
    kinds = SamplingSettings, ShowSettings
    assert len(lines) == sum(len(dataclasses.fields(kind)) for kind in kinds)
    assert next(line for line in lines if line.startswith("stop ")).endswith("a b  c")


def test_stop_texts_can_be_written_with_escapes() -> None:
    settings = GenerateSettings(stop=(r"a\nb", r"\t", r"\\n", r"\x"))
    assert settings.stop_texts == ["a\nb", "\t", r"\n", r"\x"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"tokens": True}, "--tokens is for records"),
        ({"logprobs": True}, "--logprobs is for records"),
        ({"output": "a.parquet", "nsamples": 0}, "a Parquet file must end"),
    ],
)
def test_flags_that_exclude_each_other_are_named(flags: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        GenerateSettings(**flags)  # type: ignore[arg-type]
    GenerateSettings(draft="int8")
    GenerateSettings(ray="local")
    GenerateSettings(output="a.jsonl", tokens=True, logprobs=True)
    GenerateSettings(output="a.parquet", nsamples=1)
