"""What a run of many samples takes from an earlier one, and from the machine it is started on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpt2_sampler.cli.commands import plans
from gpt2_sampler.cli.flags.corpus_settings import GenerateSettings


@pytest.mark.parametrize(
    ("given", "chosen", "seed"),
    [(None, 5, 5), (7, 5, 7), (0, 5, 0), (None, None, None), (7, None, 7), (None, "5", None)],
)
def test_the_seed_that_an_earlier_run_chose_is_used_unless_one_is_given(
    given: int | None, chosen: object, seed: int | None, tmp_path: Path
) -> None:
    meta = {"settings": {} if chosen is None else {"seed": chosen}}
    (tmp_path / "x.jsonl.meta.json").write_text(json.dumps(meta))
    settings = GenerateSettings(seed=given)
    assert plans.with_its_seed(settings, tmp_path / "x.jsonl").seed == seed
    assert plans.with_its_seed(settings, tmp_path / "y.jsonl").seed == given


def test_a_cluster_has_a_gpu_only_where_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine, which may have one, samples nothing then."""
    monkeypatch.setattr(plans, "find_device", lambda *_: "gpu")
    assert plans.device_of(GenerateSettings(device="auto")) == "gpu"
    assert plans.device_of(GenerateSettings(ray="local", device="auto")) == "cpu"
    assert plans.device_of(GenerateSettings(ray="local", device="gpu")) == "gpu"
