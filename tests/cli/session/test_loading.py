"""Which models are drafted for, and what is said of a draft that cannot be."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpt2_sampler.cli.flags.corpus_settings import GenerateSettings
from gpt2_sampler.cli.flags.settings import InteractiveSettings, Settings
from gpt2_sampler.cli.session import loading
from gpt2_sampler.cli.session.loading import LOADER, Files, load, load_draft
from gpt2_sampler.decoding.request import Request
from gpt2_sampler.errors import EngineError, UsageError
from gpt2_sampler.opening import load_tokenizer
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.hparams import HParams
from tests.checkpoints import DATA, ROOT, byte_vocabulary, random_checkpoint
from tests.cli.commands.test_unconditional import environment

LARGE = HParams(n_vocab=50257, n_ctx=1024, n_embd=768, n_head=12, n_layer=12)
SMALL = HParams(n_vocab=37, n_ctx=41, n_embd=6, n_head=2, n_layer=2)


class Shape:
    """A checkpoint of which no more is known."""

    def __init__(self, hparams: HParams) -> None:
        self.hparams = hparams


def drafts(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    hparams: HParams = LARGE,
    device: str = "cpu",
    rows: int = 1,
    free: float = 8e9,
) -> bool:
    monkeypatch.setattr(loading, "free_memory", lambda: int(free))
    loader = SimpleNamespace(load_engine=lambda *_: None)
    files = SimpleNamespace(checkpoint=Shape(hparams), loader=loader)
    return load_draft(files, settings, device, rows) is not None  # type: ignore[arg-type]


ENDLESS = GenerateSettings()


@pytest.mark.parametrize(
    ("drafted", "settings", "otherwise"),
    [
        (True, ENDLESS, {}),
        (True, InteractiveSettings(length=20), {}),
        (True, InteractiveSettings(prompt="Once", length=200), {}),
        (True, GenerateSettings(nsamples=10, length=20), {"rows": 4}),
        (False, GenerateSettings(draft="off"), {}),
        (False, GenerateSettings(precision="int8"), {}),
        (False, ENDLESS, {"device": "gpu"}),
        (False, ENDLESS, {"hparams": SMALL}),
        (False, ENDLESS, {"rows": 9}),
        (False, ENDLESS, {"free": 3e8}),
        (False, GenerateSettings(nsamples=1, length=20), {}),
        (False, InteractiveSettings(prompt="Once", length=20), {}),
        (True, GenerateSettings(draft="int8", nsamples=1, length=20), {"hparams": SMALL}),
        (True, GenerateSettings(draft="int8"), {"rows": 9}),
    ],
    ids=str,
)
def test_a_model_is_drafted_for_where_it_makes_text_come_faster(
    drafted: bool, settings: Settings, otherwise: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drafts(monkeypatch, settings, **otherwise) == drafted  # type: ignore[arg-type]


def test_a_draft_that_was_asked_for_and_cannot_be_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = GenerateSettings(draft="int8")
    for settings, device in ((dataclasses.replace(asked, precision="int8"), "cpu"), (asked, "gpu")):
        with pytest.raises(UsageError, match="is for --precision float32 on a CPU"):
            drafts(monkeypatch, settings, device=device)
    with pytest.raises(EngineError, match=r"0.2 GB of memory are needed .* 0.1 GB are free") as no:
        drafts(monkeypatch, dataclasses.replace(asked, length=9), free=1e8)
    assert no.value.facts == {"fits": {"draft": "off"}}


def test_the_draft_is_the_int8_copy(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(random_checkpoint(tmp_path, SMALL))
    files = Files(tmp_path, checkpoint, load_tokenizer("demo"), LOADER)
    draft = load_draft(files, GenerateSettings(draft="int8"), "cpu", 1)
    assert draft is not None
    engine = draft.result(timeout=60)
    assert engine.hparams == SMALL and engine.int8  # type: ignore[attr-defined]


def shaped(folder: Path, n_ctx: int, n_layer: int) -> Path:
    """A model with the tokens of bytes."""
    shape = dataclasses.replace(SMALL, n_vocab=258, n_ctx=n_ctx, n_layer=n_layer)
    return byte_vocabulary(random_checkpoint(folder, shape))


def test_a_smaller_model_drafts_and_no_text_changes(tmp_path: Path) -> None:
    large, small = shaped(tmp_path / "large", 37, 3), shaped(tmp_path / "small", 41, 1)
    settings = GenerateSettings(model_name=str(large), seed=1, nsamples=1)
    texts = []
    for draft in ("off", str(small)):
        model = load(dataclasses.replace(settings, draft=draft))
        assert (model.draft is None) == (draft == "off")
        if model.draft is not None:
            model.draft.result(timeout=60)
        batch = model.batch(2)
        for n in range(3):
            batch.add(Request(n, [n + 1], (n,), length=30))
        found: dict[object, list[int]] = {}
        while batch:
            for token in batch.step():
                found.setdefault(token.request.id, []).append(token.id)
        texts.append(found)
    assert texts[0] == texts[1]


def test_a_draft_that_does_not_fit_is_refused_by_its_name(tmp_path: Path) -> None:
    large, short = shaped(tmp_path / "large", 37, 3), shaped(tmp_path / "short", 23, 1)
    for model, draft, said in (
        (str(large), str(short), "has a window of 23 tokens, large one of 37"),
        ("demo", "demo-zh", "--draft demo-zh has another vocabulary than demo"),
    ):
        with pytest.raises(UsageError, match=said):
            load(GenerateSettings(model_name=model, draft=draft))


@pytest.mark.parametrize(
    "flags", [["--nsamples", "5", "--batch_size", "2"], ["--nsamples", "1", "--top_k", "40"]]
)
def test_samples_are_the_same_with_a_draft_and_without(flags: list[str]) -> None:
    script = ROOT / "src" / "generate_unconditional_samples.py"
    words = [sys.executable, str(script), "--model_name", "demo", "--seed", "4", "--length", "60"]
    samples = {
        subprocess.run(
            [*words, *flags, "--draft", draft], capture_output=True, check=True, timeout=100
        ).stdout
        for draft in ("int8", "off")
    }
    assert len(samples) == 1


def test_attention_without_its_kernel_is_said_once_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    loading.explain_missing_kernel()
    monkeypatch.setattr(loading, "find_kernel", lambda: None)
    for _ in range(2):
        loading.explain_missing_kernel()
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith("attention runs in NumPy, which is slower; where there is a C compiler")
    assert "pip install -e" in said


@pytest.mark.parametrize("place", [0, -1])
def test_a_seed_that_is_chosen_is_shown_and_may_be_given(
    place: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading.secrets, "randbelow", lambda n: range(n)[place])
    seed = (0, (1 << 32) - 1)[place]
    chosen = loading.choose_seed(GenerateSettings())
    assert chosen.seed == seed and capsys.readouterr().err == f"seed {seed}\n"
    assert loading.choose_seed(chosen) is chosen and capsys.readouterr().err == ""


def test_what_the_library_says_of_a_tokenizer_that_it_cannot_read_is_one_line(
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(DATA / "published" / "kogpt2", tmp_path / "model")
    saved = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    saved["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    (folder / "tokenizer.json").write_text(json.dumps(saved), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, ROOT / "src" / "score_text.py", "--model_name", folder, "--text", "x"],
        env={**environment(), "RUST_BACKTRACE": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1, done.stderr
    assert b"the library tokenizers fails on it" in done.stderr
