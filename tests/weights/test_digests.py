"""A digest is that of the files as they are, though it is not made anew at each start."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2_sampler.files import own_folder
from gpt2_sampler.weights import digests
from gpt2_sampler.weights.digests import find_digest
from gpt2_sampler.weights.format import Tensors
from gpt2_sampler.weights.huggingface import HuggingFaceTensors

pytestmark = pytest.mark.skipif(os.name != "posix", reason="digests are not remembered there")
SAVED = Path(__file__).parents[1] / "data" / "huggingface" / "plain"


class Counting(Tensors):
    """Files of any content, whose digest is counted."""

    kind = "counting"

    def __init__(self, path: Path) -> None:
        self.files, self.asked = [path], 0

    def digest(self) -> bytes:
        self.asked += 1
        return self.files[0].read_bytes().ljust(32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "SETTLED", -1)  # nobody waits
    return own_folder("cache") / digests.FOLDER


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"some")
    return path


def times_asked(path: Path) -> int:
    tensors = Counting(path)
    assert find_digest(tensors) == path.read_bytes().ljust(32)
    return tensors.asked


def test_a_file_that_nobody_has_changed_is_read_once(file: Path) -> None:
    assert [times_asked(file) for _ in range(3)] == [1, 0, 0]


def change_in_place(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"same")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_another(path: Path) -> None:
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(b"else")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def lead_elsewhere(path: Path) -> None:
    other = path.with_name("another")
    other.write_bytes(b"link")
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("change", [change_in_place, replace_by_another, lead_elsewhere])
def test_any_change_is_seen_though_size_and_time_stay(
    change: Callable[[Path], None], file: Path
) -> None:
    assert times_asked(file) == 1
    time.sleep(0.02)  # some ticks of the file system's clock
    change(file)
    assert [times_asked(file) for _ in range(2)] == [1, 0]


def test_a_file_that_has_just_changed_is_not_trusted_yet(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED", 100)
    assert [times_asked(file) for _ in range(2)] == [1, 1]
    assert not cache.exists()


@pytest.mark.parametrize("note", [b"", b"[]", b"{", b'{"state": 1}', b"\xff"])
def test_a_damaged_note_is_made_anew(note: bytes, file: Path, cache: Path) -> None:
    times_asked(file)
    [path] = cache.iterdir()
    path.write_bytes(note)
    assert [times_asked(file) for _ in range(2)] == [1, 0]


def test_notes_of_models_that_are_gone_go_too(file: Path, cache: Path, tmp_path: Path) -> None:
    times_asked(file)
    file.rename(tmp_path / "moved")
    times_asked(tmp_path / "moved")
    assert len([*cache.iterdir()]) == 1


def test_a_cache_that_is_no_folder_costs_time_alone(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    assert [times_asked(file) for _ in range(2)] == [1, 1]


def test_a_real_models_digest_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(SAVED, folder)
    found = find_digest(HuggingFaceTensors(folder))
    monkeypatch.setattr(HuggingFaceTensors, "digest", lambda _: pytest.fail("it was read again"))
    assert find_digest(HuggingFaceTensors(folder)) == found
