"""Every byte of a model of any kind is read, and each of its files told to be right or wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gpt2_sampler.cli.commands import download as command
from gpt2_sampler.errors import DownloadError, UsageError
from gpt2_sampler.fetching.verify import RIGHT, UNCHECKED, verify
from tests.checkpoints import (
    DATA,
    PRIMES,
    byte_vocabulary,
    random_checkpoint,
    random_weights,
    write_step,
)

SAVED = DATA / "huggingface"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fine-tuning run of "mine" with two steps, and a Hugging Face folder, as a hub's is."""
    monkeypatch.chdir(tmp_path)
    models = tmp_path / "models"
    byte_vocabulary(random_checkpoint(models / "mine"))
    (models / "run").mkdir()
    for step in (7, 30):
        write_step(models / "run" / f"model-{step}", random_weights(PRIMES, seed=step))
    shutil.copytree(SAVED / "silu", models / "owner" / "silu")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SAVED / "chinese" / name, models / "owner" / "silu" / name)
    return models


def wrong(path: Path) -> dict[str, str]:
    return {file.name: says for file, (right, says) in verify(path).items() if not right}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_each_step_of_a_run_is_read(models: Path) -> None:
    found = verify(models / "run")
    assert {file.name for file in found} == {
        f"model-{step}{end}" for step in (7, 30) for end in (".index", ".data-00000-of-00001")
    }
    assert set(found.values()) == {(True, RIGHT)}
    flip(models / "run" / "model-7.data-00000-of-00001", 1001)
    assert "checksum" in wrong(models / "run")["model-7.data-00000-of-00001"]
    assert verify(models / "run" / "model-30") == {
        models / "run" / f"model-30{end}": (True, RIGHT)
        for end in (".index", ".data-00000-of-00001")
    }


def test_a_hugging_face_folder_is_told_to_have_no_checksums(models: Path) -> None:
    found = {file.name: says for file, (_, says) in verify(models / "owner" / "silu").items()}
    assert found.pop("tokenizer.json") == found.pop("tokenizer_config.json") == RIGHT
    assert set(found.values()) == {UNCHECKED}
    assert len(found) == 5  # config.json and four shards
    shard = next((models / "owner" / "silu").glob("model-00003*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "damaged" in wrong(models / "owner" / "silu")[shard.name]
    shard.unlink()
    assert wrong(models / "owner" / "silu") == {shard.name: "missing"}


def test_a_vocabulary_is_part_of_a_model(models: Path) -> None:
    (models / "owner" / "silu" / "tokenizer.json").write_text("{")
    assert "not JSON" in wrong(models / "owner" / "silu")["tokenizer.json"]
    (models / "mine" / "vocab.bpe").unlink()
    assert wrong(models / "mine") == {"vocab.bpe": "missing"}


def test_the_command_sees_every_kind_without_a_name(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "nothing").mkdir()
    command.run(["--verify"], "gpt2-download")
    lines = capsys.readouterr().out.splitlines()
    folders = {str(Path(line.split(":")[0]).parent) for line in lines}
    assert folders == {"models/mine", "models/run", "models/owner/silu"}
    flip(models / "mine" / "model.ckpt.data-00000-of-00001", 1001)
    (models / "owner" / "silu" / "config.json").write_text("[]")
    with pytest.raises(DownloadError, match=r"^not whole: models/mine, models/owner/silu$"):
        command.run(["--verify"], "gpt2-download")
    with pytest.raises(DownloadError, match=r"^not whole: models/owner/silu$"):
        command.run(["--verify", "owner/silu"], "gpt2-download")
    command.run(["--verify", "run"], "gpt2-download")


def test_without_a_model_there_is_nothing_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="there is no model in"):
        command.run(["--verify", "--models_dir", str(tmp_path)], "gpt2-download")


def test_a_revision_is_read_and_the_folder_that_is_not_whole_is_named(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = models / "owner" / "silu@refs" / "pr" / "1"
    shutil.copytree(models / "owner" / "silu", folder)
    command.run(["--verify"], "gpt2-download")
    assert "models/owner/silu@refs/pr/1/config.json: " in capsys.readouterr().out
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()  # then the error is about the folder
    with pytest.raises(DownloadError, match=r"^not whole: models/owner/silu@refs/pr/1$"):
        command.run(["--verify"], "gpt2-download")
