"""What is written is whole or not there, and what killed processes left is swept, nothing else."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from gpt2_sampler import writing as module
from gpt2_sampler.errors import SamplerError, UsageError
from gpt2_sampler.writing import TEMPORARY, hold_lock, workplace, write_whole, writing
from tests.checkpoints import ROOT

LEFT = f"{TEMPORARY}{'0' * 16}"
"""The name of what a killed process has left."""


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with write_whole(path) as new:
        new.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with write_whole(path) as new:
        new.mkdir()
        (new / "file").touch()
        assert not path.exists()
    assert list(tmp_path.rglob("*")) == [path, path / "file"]


def test_what_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), write_whole(path) as new:
        new.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not(
    tmp_path: Path,
) -> None:
    program = (
        "import sys, time; from pathlib import Path; from gpt2_sampler.writing import workplace\n"
        "with workplace(Path(sys.argv[1])) as place:\n"
        "    (place / 'half').touch(); print(place, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    places = []
    for number in range(2):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        places.append(Path(process.stdout.readline().strip()))
        if number == 0:
            process.kill()
            process.wait()
            assert places[0].exists()
    with workplace(tmp_path) as third:
        assert set(tmp_path.glob("*.writing")) == {places[1], third}
    process.kill()
    process.wait()
    with workplace(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def left_over(folder: Path, name: str = LEFT) -> Path:
    """As a killed process leaves it: a lock, and beside it a folder with a file."""
    (folder / f"{name}.lock").touch()
    place = folder / f"{name}.writing"
    place.mkdir()
    (place / "half").touch()
    return place


def test_a_lock_without_its_folder_is_swept_too(tmp_path: Path) -> None:
    left_over(tmp_path)
    (tmp_path / f"{TEMPORARY}{'1' * 16}.lock").touch()
    with workplace(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_only_looks_like_a_workplace_is_left_alone(tmp_path: Path) -> None:
    """Another name, no lock, a lock with content or another name, a link in any place."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary").write_text("dear")
    (tmp_path / "text").write_text("text")
    for name in (".writing-mine", f"{TEMPORARY}mine", f"{LEFT}0", f"x{LEFT}"):
        left_over(tmp_path, name)
    (tmp_path / ".writing-mine" / "lock").mkdir(parents=True)
    (tmp_path / f"{LEFT}.writing").mkdir()  # without a lock
    one, two, three, four = (f"{TEMPORARY}{digit * 16}" for digit in "1234")
    left_over(tmp_path, one)
    (tmp_path / f"{one}.lock").write_text("mine")
    (tmp_path / f"{two}.lock").symlink_to("text")
    (tmp_path / f"{two}.writing").mkdir()
    (tmp_path / f"{three}.lock").touch()
    (tmp_path / f"{three}.writing").symlink_to("mine")
    left_over(tmp_path, four)
    (tmp_path / "name").hardlink_to(tmp_path / f"{four}.lock")
    before = sorted(tmp_path.rglob("*"))
    with workplace(tmp_path):
        pass
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "text").read_text() == "text"


def test_what_another_user_left_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_over(tmp_path)
    monkeypatch.setattr(module, "is_own", lambda status: False)
    with workplace(tmp_path):
        pass
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_inside_what_is_swept_is_not_followed(tmp_path: Path) -> None:
    folder, mine = tmp_path / "folder", tmp_path / "mine"
    for one in (folder, mine):
        one.mkdir()
    (mine / "diary").write_text("dear")
    (left_over(folder) / "link").symlink_to(mine)
    with workplace(folder):
        pass
    assert list(folder.iterdir()) == []
    assert (mine / "diary").read_text() == "dear"


def test_a_lock_is_held_by_one_and_gone_afterwards(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", list[str]()

    def second() -> None:
        with hold_lock(path, wait=lambda: order.append("waits")):
            order.append("second")

    with hold_lock(path):
        with pytest.raises(BlockingIOError), hold_lock(path):
            pass
        thread = threading.Thread(target=second)
        thread.start()
        while not order:
            thread.join(0.01)
        order.append("first")
    thread.join()
    assert order == ["waits", "first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_where_open_files_cannot_be_removed_a_lock_is_gone_after_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    held, unlink, release = False, Path.unlink, FileLock.release

    def remove(path: Path, missing_ok: bool = False) -> None:
        if held:
            raise PermissionError(errno.EACCES, "in use")
        unlink(path, missing_ok)

    def free(lock: FileLock, force: bool = False) -> None:
        nonlocal held
        release(lock, force)
        held = False

    monkeypatch.setattr(Path, "unlink", remove)
    monkeypatch.setattr(FileLock, "release", free)
    monkeypatch.setattr(module, "WINDOWS", True)
    with hold_lock(tmp_path / "lock"):
        held = True
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [SamplerError, UsageError])
def test_a_full_disk_is_one_line_that_names_the_file(
    tmp_path: Path, error: type[SamplerError]
) -> None:
    for around in (writing, write_whole):
        says = pytest.raises(error, match=r"file cannot be written \(No space left")
        with says, around(tmp_path / "file", error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_and_folders_on_the_way_are_made_at_the_end(tmp_path: Path) -> None:
    link, below = tmp_path / "link", tmp_path / "new" / "er" / "file"
    (tmp_path / "file").write_text("old")
    link.symlink_to("file")
    for path in (link, below):
        with write_whole(path) as new:
            new.write_text("new")
            assert not below.parents[1].exists()
        assert path.read_text() == "new"
    assert link.is_symlink() and (tmp_path / "file").read_text() == "new"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_folder_that_takes_no_files_is_named_at_once() -> None:
    with (
        pytest.raises(SamplerError, match=r"^/proc/x cannot be written"),
        write_whole(Path("/proc/x")),
    ):
        pytest.fail("there is no place for it")
