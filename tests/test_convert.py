"""A converted model is the same model; what was there before stays there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler import convert as module
from gpt2_sampler import load_engine
from gpt2_sampler.cli.commands.conversion import run_convert
from gpt2_sampler.convert import convert
from gpt2_sampler.errors import CheckpointError, EngineError, SamplerError, UsageError
from gpt2_sampler.tokenizer.load import load_tokenizer
from gpt2_sampler.weights import tensor_bundle
from gpt2_sampler.weights.checkpoint import open_checkpoint
from tests.checkpoints import DATA, ROOT, byte_vocabulary, random_checkpoint

SAVED = DATA / "huggingface"
MAPS = Path("/proc/self/maps")
TEXT = [3, 1, 4, 1, 5, 9, 2, 6]


@pytest.fixture
def openai(tmp_path: Path) -> Path:
    return byte_vocabulary(random_checkpoint(tmp_path / "source"))


def test_openai_to_hugging_face_and_back_is_bit_for_bit_the_same(
    openai: Path, tmp_path: Path
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    convert(open_checkpoint(openai), there, "huggingface")
    names = {path.name for path in there.iterdir()}
    convert(open_checkpoint(there), back, "openai")
    assert names == {
        *("config.json", "model.safetensors", "vocab.json", "merges.txt", "tokenizer_config.json")
    }
    for name in ("model.ckpt.index", "model.ckpt.data-00000-of-00001", "checkpoint"):
        assert (back / name).read_bytes() == (openai / name).read_bytes()
    for name in ("hparams.json", "encoder.json", "vocab.bpe"):
        assert (back / name).read_bytes() == (openai / name).read_bytes()
    first, last = open_checkpoint(openai), open_checkpoint(there)
    for name, array in first.items():
        np.testing.assert_array_equal(last[name], array)
    assert load_tokenizer(there).encode("the thing") == load_tokenizer(openai).encode("the thing")


@pytest.mark.parametrize("kind", ["plain", "gelu", "relu", "silu", "quick_gelu", "tanh"])
@pytest.mark.parametrize("to", ["openai", "huggingface"])
def test_every_kind_keeps_its_logits(kind: str, to: str, tmp_path: Path) -> None:
    source = Path(shutil.copytree(SAVED / kind, tmp_path / kind))
    convert(open_checkpoint(source), tmp_path / "target", to)
    expected = load_engine(source, "cpu").logits(TEXT)
    np.testing.assert_array_equal(load_engine(tmp_path / "target", "cpu").logits(TEXT), expected)
    assert open_checkpoint(tmp_path / "target").hparams == open_checkpoint(source).hparams


@pytest.mark.parametrize("form", ["vocab.txt", "tokenizer.json"])
def test_a_vocabulary_that_openai_has_no_form_for_is_kept_as_it_is(
    form: str, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(SAVED / "plain", tmp_path / "plain"))
    shutil.copyfile(SAVED / "chinese" / form, source / form)
    convert(open_checkpoint(source), tmp_path / "target", "openai")
    assert load_tokenizer(tmp_path / "target").encode("春眠") == [23, 24]


def test_names_of_the_ends_are_kept(openai: Path, tmp_path: Path) -> None:
    convert(open_checkpoint(openai), tmp_path / "there", "huggingface")
    config = json.loads((tmp_path / "there" / "config.json").read_text())
    assert config["eos_token_id"] == 257
    changed = {**config, "eos_token_id": [256, 257]}
    (tmp_path / "there" / "config.json").write_text(json.dumps(changed))
    for name, kind in (("back", "openai"), ("again", "huggingface")):
        convert(open_checkpoint(tmp_path / "there"), tmp_path / name, kind)
        assert load_tokenizer(tmp_path / name).ends == {256, 257}


def test_line_breaks_of_windows_are_read_as_when_sampling(openai: Path, tmp_path: Path) -> None:
    convert(open_checkpoint(openai), tmp_path / "there", "huggingface")
    merges = tmp_path / "there" / "merges.txt"
    merges.write_bytes(merges.read_bytes().replace(b"\n", b"\r\n"))
    convert(open_checkpoint(tmp_path / "there"), tmp_path / "back", "openai")
    assert (tmp_path / "back" / "vocab.bpe").read_bytes() == (openai / "vocab.bpe").read_bytes()


def test_a_tokenizer_json_becomes_openais_two_files(openai: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    convert(open_checkpoint(openai), tmp_path / "there", "huggingface")
    vocabulary, merges = (str(tmp_path / "there" / name) for name in ("vocab.json", "merges.txt"))
    tokenizer = Tokenizer(models.BPE.from_file(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(tmp_path / "there" / "tokenizer.json"))
    Path(vocabulary).unlink()
    convert(open_checkpoint(tmp_path / "there"), tmp_path / "back", "openai")
    encoders = [json.loads((f / "encoder.json").read_text()) for f in (openai, tmp_path / "back")]
    assert encoders[0] == encoders[1]


def test_where_there_is_no_room_to_compare_nothing_is_begun(
    openai: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    with pytest.raises(EngineError, match="of memory are needed") as error:
        convert(open_checkpoint(openai), tmp_path / "target", "huggingface")
    assert not error.value.facts and not (tmp_path / "target").exists()


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_nothing_is_overwritten(there: str, openai: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if there == "folder":
        target.mkdir()
    elif there == "file":
        target.touch()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists and is never overwritten"):
        convert(open_checkpoint(openai), target, "huggingface")


def test_other_logits_leave_nothing(
    openai: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE", -1.0)
    with pytest.raises(CheckpointError, match="the logits of"):
        convert(open_checkpoint(openai), tmp_path / "new" / "target", "huggingface")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_command_chooses_the_other_kind(openai: Path, tmp_path: Path) -> None:
    there, back = str(tmp_path / "there"), str(tmp_path / "back")
    run_convert([str(openai), there], "gpt2-convert")
    assert (tmp_path / "there" / "model.safetensors").exists()
    run_convert([there, back], "gpt2-convert")
    assert (tmp_path / "back" / "model.ckpt.index").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["demo"], "type SOURCE and TARGET, two names; there were 1"),
        (["demo", "x", "y"], "two names; there were 3"),
        (["demo", "x", "--to", "keras"], "--to must be one of openai, huggingface, not 'keras'"),
        (["nothing", "x"], "there is no model 'nothing'"),
        (["x" * 250, "x"], "there is no model 'xxx"),
        (["demo", "/dev/null/x"], "there is no folder /dev/null"),
    ],
)
def test_a_mistake_is_said_before_anything_is_read(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run_convert(words, "gpt2-convert")


@pytest.mark.skipif(not MAPS.exists(), reason="what is mapped is not to be seen")
@pytest.mark.parametrize("kind", ["openai", "huggingface"])
def test_nothing_is_mapped_when_the_folder_gets_its_name(
    openai: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Windows would not rename it."""
    mapped: list[bool] = []
    replace = Path.replace

    def watched(path: Path, target: Path) -> Path:
        mapped.append(f"/{path.parent.name}/{path.name}/" in MAPS.read_text())
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    convert(open_checkpoint(openai), tmp_path / "target", kind)
    assert mapped and not any(mapped)


def test_a_full_disk_is_one_line_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(shutil.copytree(SAVED / "plain", tmp_path / "plain"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tensor_bundle, "encode_table", full)
    with pytest.raises(SamplerError, match=r"cannot be written \(No space left on device\)"):
        convert(open_checkpoint(source), tmp_path / "target", "openai")
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


def test_openais_layout_is_written_without_tensorflow(tmp_path: Path) -> None:
    source = Path(shutil.copytree(SAVED / "plain", tmp_path / "plain"))
    program = f"""
import sys
from pathlib import Path
from gpt2_sampler.convert import convert
from gpt2_sampler.weights.checkpoint import open_checkpoint
convert(open_checkpoint({str(source)!r}), Path({str(tmp_path / "target")!r}), "openai")
print("tensorflow" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    assert (tmp_path / "target" / "model.ckpt.index").exists()
