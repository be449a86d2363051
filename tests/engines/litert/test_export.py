"""The exported file is made once, kept while it is right, and made again when it is not."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import filelock
import numpy as np
import psutil
import pytest

from gpt2_sampler import load_engine
from gpt2_sampler.engines.litert import export
from gpt2_sampler.engines.litert.graph import build
from gpt2_sampler.errors import EngineError, UsageError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from tests.checkpoints import PRIMES, ROOT, random_checkpoint, random_weights

TEXT = [3, 1, 4, 1, 5, 9, 2, 6]


def exported(folder: Path) -> Path:
    return export.export_model(open_checkpoint(folder), "float32").path


def left() -> list[str]:
    return sorted(path.name for path in export.cache_folder().iterdir())


def test_the_file_lies_in_the_users_cache_and_is_made_once(folder: Path) -> None:
    path = exported(folder)
    assert path.is_relative_to(os.environ["XDG_CACHE_HOME"])
    made = path.stat().st_mtime_ns
    assert exported(folder) == path
    assert path.stat().st_mtime_ns == made


def test_a_link_in_place_of_the_unfinished_file_is_not_followed(
    folder: Path, tmp_path: Path
) -> None:
    path, mine = exported(folder), tmp_path / "mine"
    mine.write_text("a diary")
    path.unlink()
    path.with_suffix(".part").symlink_to(mine)
    assert exported(folder) == path
    assert mine.read_text() == "a diary"


def test_nothing_but_the_file_and_its_stamp_is_left(folder: Path) -> None:
    path = exported(folder)
    assert left() == [path.name, f"{path.name}.stamp"]
    assert "litert" not in {path.name for path in folder.iterdir()}


def test_a_file_in_the_models_own_folder_is_not_loaded(folder: Path) -> None:
    """A model may come from anywhere, and LiteRT trusts what it loads."""
    (folder / "litert").mkdir()
    (folder / "litert" / "float32.tflite").write_bytes(b"crafted")
    assert exported(folder).is_relative_to(os.environ["XDG_CACHE_HOME"])
    assert (folder / "litert" / "float32.tflite").read_bytes() == b"crafted"


@pytest.mark.parametrize("field", ["key", "folder", "arrays"])
def test_notes_of_another_kind_are_none(field: str, folder: Path) -> None:
    path = exported(folder)
    notes = {**{"key": "", "folder": str(folder), "arrays": {}}, field: [1]}
    text = json.dumps(notes).encode()
    path.with_name("other.tflite").write_bytes(text + len(text).to_bytes(8, "little") + bytes(4))
    export.sweep()
    assert "other.tflite" not in left() and path.name in left()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_the_cache_is_not_waited_for(folder: Path) -> None:
    path = exported(folder)
    path.unlink()
    os.mkfifo(path)
    assert exported(folder).is_file()


def test_a_cache_where_others_can_write_is_made_private(folder: Path) -> None:
    export.cache_folder().mkdir(parents=True)
    export.cache_folder().chmod(0o777)
    exported(folder)
    assert export.cache_folder().stat().st_mode & 0o777 == 0o700


def give_away(monkeypatch: pytest.MonkeyPatch, given: Path) -> None:
    """As if what is at the path now belonged to another user."""
    status = Path.lstat
    inode = status(given).st_ino

    def lstat(path: Path) -> os.stat_result:
        numbers = list(status(path))
        if numbers[stat.ST_INO] == inode:
            numbers[stat.ST_UID] = os.geteuid() + 1
        return os.stat_result(numbers)

    monkeypatch.setattr(Path, "lstat", lstat)


def test_a_cache_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported(folder)
    give_away(monkeypatch, export.cache_folder())
    with pytest.raises(EngineError, match=r"other users can write in .*; set XDG_CACHE_HOME"):
        exported(folder)


def test_a_file_of_another_user_in_the_cache_is_not_loaded_but_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = exported(folder).stat().st_ino
    give_away(monkeypatch, exported(folder))
    assert exported(folder).stat().st_ino != planted


def test_files_of_models_that_are_gone_and_of_killed_runs_are_swept(
    folder: Path, tmp_path: Path
) -> None:
    other = random_checkpoint(tmp_path / "other", seed=1)
    gone = exported(other)
    shutil.rmtree(other)
    killed = gone.with_name("0123-int8.part")
    killed.write_bytes(b"half")
    path = exported(folder)
    assert not gone.exists() and not killed.exists()
    assert path.exists()


def test_what_another_run_has_just_removed_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, gone = open_checkpoint(folder), exported(folder).with_name("gone.tflite")
    monkeypatch.setattr(Path, "glob", lambda *_: [gone])
    export.discard(checkpoint)
    export.sweep()


@pytest.mark.parametrize(("megabytes", "is_told"), [(128, False), (129, True)])
def test_whoever_waits_for_a_large_model_is_told_why(
    megabytes: int,
    is_told: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hparams = SimpleNamespace(variable_shapes=lambda: {"wte": (megabytes << 18,)})
    monkeypatch.setattr(export, "fill", lambda path, *_: path.touch())
    with caplog.at_level("INFO"):
        export.write(tmp_path / "x.tflite", SimpleNamespace(hparams=hparams), "int8", "key")  # type: ignore[arg-type]
    assert ("preparing the model for this machine, once (int8)" in caplog.text) == is_told


def test_what_another_run_is_writing_is_not_swept(folder: Path) -> None:
    export.cache_folder().mkdir(parents=True)
    writing = export.cache_folder() / "0123-int8.part"
    writing.write_bytes(b"half")
    with filelock.FileLock(writing.with_name("0123-int8.tflite.lock")):
        exported(folder)
    assert writing.exists()


def test_other_weights_make_it_stale(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    load_engine(folder, "cpu")
    other = random_checkpoint(tmp_path / "other", seed=1)
    for path in other.iterdir():
        path.replace(folder / path.name)
    from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine

    np.testing.assert_allclose(
        load_engine(folder, "cpu").logits(TEXT),
        TensorFlowEngine(folder, "cpu").logits(TEXT),
        atol=1e-4,
    )


def test_a_new_version_makes_it_stale(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exported(folder)
    before = path.read_bytes()
    monkeypatch.setattr(export, "EXPORT_VERSION", export.EXPORT_VERSION + 1)
    assert exported(folder) == path
    assert path.read_bytes() != before


@pytest.mark.parametrize("kept", [0, 1, 3, 12, 13, 100, 1000, -1])
def test_a_file_cut_short_is_made_again(folder: Path, kept: int) -> None:
    path = exported(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    exported(folder)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("at", [0, 5, 0.3, 0.9, -1, -20, -40])
def test_a_flipped_bit_anywhere_makes_it_again(folder: Path, at: float) -> None:
    path = exported(folder)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[int(at * len(whole)) if isinstance(at, float) else at] ^= 1
    path.write_bytes(damaged)
    exported(folder)
    assert path.read_bytes() == whole


@pytest.fixture
def no_cache(folder: Path) -> Path:
    """As root may write everywhere, a plain file stands where the folder would be made."""
    Path(os.environ["XDG_CACHE_HOME"]).write_text("in the way")
    return folder


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_where_nothing_can_be_kept_the_model_runs_and_nothing_is_left(
    no_cache: Path, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    logits = load_engine(no_cache, "cpu", precision).logits(TEXT)
    assert np.isfinite(logits).all()
    assert not any((tmp_path / "temporary").iterdir())
    [record] = caplog.records
    assert record.getMessage().startswith("the model is prepared anew at each start: there is no")


def test_a_user_without_a_home_can_sample(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(kind: str) -> Path:
        raise UsageError("this user has no home folder")

    expected = load_engine(folder, "cpu").logits(TEXT)
    monkeypatch.setattr(export, "own_folder", no_home)
    np.testing.assert_array_equal(load_engine(folder, "cpu").logits(TEXT), expected)


def nothing_can_be_written(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs files in memory")
def test_on_a_system_that_is_read_only_the_file_is_in_memory(
    no_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryDirectory", nothing_can_be_written)
    assert np.isfinite(load_engine(no_cache, "cpu").logits(TEXT)).all()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs files in memory")
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_an_engine_leaves_no_file_open_before_garbage_is_collected(
    no_cache: Path, precision: str, in_memory: bool, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EngineError("LiteRT cannot run the model")

    def use() -> None:
        with contextlib.suppress(EngineError), load_engine(no_cache, "cpu", precision) as engine:
            engine.logits(TEXT)

    use()  # what LiteRT opens once for all
    if in_memory:
        monkeypatch.setattr(tempfile, "TemporaryDirectory", nothing_can_be_written)
    if fails:
        monkeypatch.setattr("gpt2_sampler.engines.litert.engine.load_functions", fail)
    gc.collect()
    before = psutil.Process().num_fds()
    gc.disable()
    try:
        use()
        assert psutil.Process().num_fds() == before
    finally:
        gc.enable()


def test_nowhere_to_write_at_all_is_one_line(
    no_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryDirectory", nothing_can_be_written)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with pytest.raises(EngineError, match="cannot be prepared for this machine") as error:
        exported(no_cache)
    assert "\n" not in str(error.value)


def test_a_failed_export_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gpt2_sampler.engines.litert.graph.build", fail)
    with pytest.raises(KeyboardInterrupt):
        exported(folder)
    assert left() == []


def test_processes_that_start_at_once_make_one_whole_file(folder: Path) -> None:
    """Each waits for the same moment, then loads the model and prints a checksum of its logits."""
    program = f"""
import logging, sys, time, zlib
sys.path.insert(0, {str(ROOT / "src")!r})
from gpt2_sampler import load_engine
import gpt2_sampler.engines.litert.engine
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(message)s")
time.sleep(max(0, {time.time() + 3} - time.time()))
print(zlib.crc32(load_engine({str(folder)!r}, "cpu").logits({TEXT}).tobytes()))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, results
    assert len({out for out, _ in results}) == 1
    assert sum("prepared in" in err for _, err in results) == 1


def test_in_float32_weights_are_read_when_they_are_written_not_before() -> None:
    """What keeps an export's memory near the size of one matrix."""
    weights = random_weights(PRIMES)
    read: list[str] = []

    class Watched(dict[str, np.ndarray]):
        def __getitem__(self, name: str) -> np.ndarray:
            read.append(name)
            return super().__getitem__(name)

    build(Watched(weights), PRIMES, "float32")
    assert not [name for name in read if name.endswith("/w") or name == "wte"]
