"""A file is read or one line says why not; a path is one, or one line says why not."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import platformdirs
import pytest

from gpt2_sampler import files
from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.files import (
    is_at,
    map_bytes,
    own_folder,
    quote,
    read_bytes,
    read_object,
    read_text,
    require_apart,
    require_place,
    user_path,
)

READERS = [read_bytes, read_text, read_object, map_bytes]


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_file_is_named_at_once(read, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for path, says in [
        (tmp_path / "nowhere", "nowhere is missing"),
        (tmp_path / "file" / "below", "below is missing"),
        (tmp_path / "pipe", "pipe is a pipe or a device, not a file"),
        (Path("/dev/zero"), "zero is a pipe or a device, not a file"),
        (tmp_path, "folder|directory"),
        (tmp_path / ("long" * 100), "name too long"),
        (tmp_path / "null\0byte", "null"),
    ]:
        with pytest.raises(CheckpointError, match=f"(?i){says}") as error:
            read(path)
        assert "\n" not in str(error.value)
        with pytest.raises(UsageError):
            read(path, error=UsageError)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("read", READERS)
def test_a_file_that_may_not_be_read_says_so(read, tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0)
    with pytest.raises(CheckpointError, match=r"file cannot be read \(Permission denied\)"):
        read(tmp_path / "file")


def test_a_limit_is_kept_while_reading(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(11))
    assert len(read_bytes(path, limit=11)) == 11
    with pytest.raises(CheckpointError, match="more than the 10 bytes"):
        read_bytes(path, limit=10)


def test_a_small_file_takes_little_memory_to_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"small")
    tracemalloc.start()
    assert read_bytes(path) == b"small"
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff{}", "is not UTF-8 text"),
        (b"", "not JSON"),
        (b'{"a": ', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b'{"a": 1, "b": {"n_head": 2, "n_head": 4}}', r"not JSON \(it has 'n_head' twice\)"),
    ],
)
def test_what_is_no_json_object_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"file (is )?{says}"):
        read_object(tmp_path / "file")


def test_texts_have_one_kind_of_line_break(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("é\r\n\n\rb".encode())
    assert read_text(tmp_path / "file") == "é\n\n\nb"


def test_an_empty_file_has_no_bytes_to_map(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert len(map_bytes(tmp_path / "file")) == 0


def test_where_no_file_can_be_is_said_before_the_work(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "loop").symlink_to("loop")
    for name, says in [
        ("pipe", "it is a pipe or a device"),
        ("null", "it is a pipe or a device"),
        (".", "it is a folder"),
        ("loop", "symbolic links"),
        ("file/x", "there is no folder .*file"),
        ("none/x", "there is no folder .*none"),
        ("x" * 300, "cannot be a path"),
    ]:
        with pytest.raises(UsageError, match=says):
            require_place(tmp_path / name)
    for name in ("file", "new", "link"):
        require_place(tmp_path / name)
    require_place(tmp_path / "none" / "x", folders=True)
    with pytest.raises(UsageError, match=r"there is no folder .*file"):
        require_place(tmp_path / "file" / "none" / "x", folders=True)


@pytest.mark.parametrize("typed", ["~nosuchuser/x", "x" * 300, "null\0byte", ""])
def test_what_can_be_no_path_is_a_mistake(typed: str) -> None:
    with pytest.raises(UsageError, match="cannot be a path"):
        user_path(typed)


def test_a_path_need_not_be_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/new") == tmp_path / "new"
    (tmp_path / "file").touch()
    assert user_path(tmp_path / "file" / "below") == tmp_path / "file" / "below"


@pytest.mark.parametrize("kind", ["data", "cache", "state"])
def test_a_user_without_a_home_is_told_what_to_set(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: str) -> Path:
        raise RuntimeError("no home")

    for answer in (none, lambda _: Path("~/.cache")):
        monkeypatch.setattr(platformdirs, f"user_{kind}_path", answer)
        with pytest.raises(UsageError, match=f"set HOME, or XDG_{kind.upper()}_HOME"):
            own_folder(kind)


def test_a_folder_that_may_not_be_entered_or_written_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may do everything
    with pytest.raises(UsageError, match="Permission denied"):
        user_path(tmp_path)
    with pytest.raises(UsageError, match="you may not write in"):
        require_place(tmp_path / "file")


def test_a_file_that_is_read_is_never_replaced(tmp_path: Path) -> None:
    text, link, hard = tmp_path / "text", tmp_path / "link", tmp_path / "hard"
    text.write_text("mine")
    link.symlink_to("text")
    hard.hardlink_to(text)
    new, again = tmp_path / "new", tmp_path / "none" / ".." / "new"
    (tmp_path / "none").mkdir()
    for output in (text, link, hard):
        with pytest.raises(UsageError, match=f"{output.name} would be read and replaced"):
            require_apart([new, output], [0, text])
    for outputs in ([new, new], [new, again], [text, link]):
        with pytest.raises(UsageError, match="would be written twice"):
            require_apart(outputs)
    require_apart([new, tmp_path / "other"], [0, text, tmp_path / "nowhere"])


def test_a_file_that_stdin_comes_from_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("mine")
    with path.open() as file, pytest.raises(UsageError, match="would be read and replaced"):
        require_apart([path], [file.fileno()])


def test_an_open_file_knows_whether_it_is_still_at_its_path(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    other.touch()
    with path.open("wb") as file:
        assert is_at(file, path)
        path.rename(tmp_path / "moved")
        assert not is_at(file, path)
        other.rename(path)
        assert not is_at(file, path)
        (tmp_path / "moved").rename(path)
        assert is_at(file, path)


@pytest.mark.parametrize(
    "name", ["CON", "nul", "nul.txt", "Aux .jsonl", "a/com1/b", "LPT9", "conin$", "com¹.gz"]
)
def test_a_device_of_windows_is_no_path_there(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert user_path(name) == Path(name)
    monkeypatch.setattr(files, "WINDOWS", True)
    for near in ("console", "null.txt", "com", "com10", "auxiliary/x"):
        assert user_path(near) == Path(near)
    with pytest.raises(UsageError, match=r"cannot be a path \(it is the name of a device"):
        user_path(name)


def test_a_name_that_no_file_can_have_on_windows_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        error = OSError(errno.EINVAL, "The filename, directory name or label syntax is incorrect")
        error.winerror = files.INVALID_NAME  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr(Path, "lstat", refuse)
    assert user_path("what?") == Path("what?")
    monkeypatch.setattr(files, "open", refuse, raising=False)
    with pytest.raises(CheckpointError, match="what\\? is missing"):
        read_bytes(Path("what?"))


@pytest.mark.parametrize(
    ("word", "here", "there"),
    [
        ("plain-1.0", "plain-1.0", "plain-1.0"),
        ("two words", "'two words'", '"two words"'),
        ("it's", "'it'\"'\"'s'", '"it\'s"'),
        ("a&b", "'a&b'", '"a&b"'),
        ("C:\\Models\\gpt2", "'C:\\Models\\gpt2'", "C:\\Models\\gpt2"),
        ("C:\\My Models\\", "'C:\\My Models\\'", '"C:\\My Models\\\\"'),
        ("", "''", '""'),
    ],
)
def test_a_word_is_quoted_for_the_shell_of_the_system(
    word: str, here: str, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quote(word) == here
    monkeypatch.setattr(files, "WINDOWS", True)
    assert quote(word) == there
