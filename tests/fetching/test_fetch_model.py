"""Whole models from a server that misbehaves: each fault ends in a whole model or in one line."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from urllib3.util.retry import Retry

from gpt2_sampler.cli.commands import download as command
from gpt2_sampler.engines.load import PRECISIONS
from gpt2_sampler.engines.memory import memory_needed
from gpt2_sampler.errors import CheckpointError, DownloadError, SamplerError, UsageError
from gpt2_sampler.fetching import fetch_folder as mirror
from gpt2_sampler.fetching import fetch_model as downloading
from gpt2_sampler.fetching import released
from gpt2_sampler.fetching.client import Network
from gpt2_sampler.fetching.fetch_folder import Watch
from gpt2_sampler.fetching.fetch_model import download, import_files
from gpt2_sampler.fetching.filespec import FileSpec, Version, sha256_of
from gpt2_sampler.fetching.partfile import PartFile
from gpt2_sampler.fetching.released import DATA_FILE, INDEX_FILE, META_FILE
from gpt2_sampler.registry import BUNDLED, RELEASED
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.hparams import HParams
from tests.checkpoints import DATA, byte_vocabulary
from tests.misbehaving_server import (
    Fault,
    MisbehavingServer,
    dripping,
    drop,
    page,
    redirect,
    status,
    wrong_bytes,
    wrong_length,
    zipped,
)

ROOT = Path(__file__).resolve().parents[2]
TINY = DATA / "parity" / "tiny"
QUICK = Network(piece=40_009, timeout=0.5, retry=Retry(total=3, backoff_factor=0.001))
FILES = ["checkpoint", "hparams.json", "encoder.json", "vocab.bpe", INDEX_FILE, DATA_FILE]


class Told(Watch):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MisbehavingServer]:
    """Has one small model, of nobody's release, as "own"."""
    folder = tmp_path / "served" / "own"
    shutil.copytree(TINY, folder)
    (folder / "encoder.json").write_text('{"a": 0}', encoding="utf-8")
    (folder / "vocab.bpe").write_text("#version: 0.2\n", encoding="utf-8")
    with MisbehavingServer(tmp_path / "served") as running:
        yield running


@pytest.fixture
def models(tmp_path: Path) -> str:
    return str(tmp_path / "models")


@pytest.fixture
def small_release(server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if OpenAI's 117M were that model, which the server then has under OpenAI's name."""
    own = server.folder / "own"
    known = {p.name: (Version(p.stat().st_size, sha256_of(p)),) for p in own.iterdir()}
    files = tuple(
        FileSpec(spec.name, known.get(spec.name, ()), spec.optional)
        for spec in released.FILES["117M"]
    )
    monkeypatch.setitem(released.FILES, "117M", files)
    own.rename(server.folder / "124M")


def same(folder: Path, served: Path) -> bool:
    return all((folder / p.name).read_bytes() == p.read_bytes() for p in served.iterdir())


def test_a_model_of_ones_own_arrives_whole(server: MisbehavingServer, models: str) -> None:
    folder = download("own", models, [server.url], QUICK)
    assert folder == Path(models) / "own"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert same(folder, server.folder / "own")
    open_checkpoint(folder).verify()


FAULTS: dict[str, Fault] = {
    "404": status(404),
    "403": status(403),
    "500": status(500),
    "drop": drop,
    "wrong length": wrong_length(3),
    "wrong bytes": wrong_bytes,
    "page": page,
    "redirect": redirect("/elsewhere"),
    "gzip": zipped,
    "drip": dripping(20_000, 0.002),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_ends_in_a_whole_model_or_one_line(
    server: MisbehavingServer, models: str, fault: str, name: str
) -> None:
    server.misbehave(name, FAULTS[fault])
    folder = Path(models) / "own"
    try:
        download("own", models, [server.url], QUICK)
        assert same(folder, server.folder / "own")
    except SamplerError as error:
        assert fault not in ("drip", "gzip", "drop")
        assert "\n" not in str(error)
        assert f"own/{name}" in str(error) or "elsewhere" in str(error)
        assert not (folder / name).exists()
    assert not folder.exists() or any(folder.iterdir())
    named = [path for path in folder.glob("*") if path.name in FILES]
    assert all(p.read_bytes() == (server.folder / "own" / p.name).read_bytes() for p in named)


def test_a_run_that_failed_is_gone_on_from(server: MisbehavingServer, models: str) -> None:
    server.misbehave(DATA_FILE, status(403), methods="GET")
    with pytest.raises(DownloadError, match="403"):
        download("own", models, [server.url], QUICK)
    server.faults.clear()
    server.requests.clear()
    download("own", models, [server.url], QUICK)
    assert server.fetched() == [DATA_FILE]


def test_only_what_is_missing_or_wrong_is_fetched_again(
    server: MisbehavingServer, models: str
) -> None:
    folder = download("own", models, [server.url], QUICK)
    (folder / "encoder.json").write_text('{"a": ', encoding="utf-8")
    (folder / "vocab.bpe").unlink()
    with (folder / DATA_FILE).open("r+b") as file:
        file.seek(1000)
        file.write(b"damaged")
    server.requests.clear()
    download("own", models, [server.url], QUICK)
    assert server.fetched() == ["encoder.json", "vocab.bpe", DATA_FILE]
    assert same(folder, server.folder / "own")


def test_a_new_index_shows_old_weights_to_be_wrong(server: MisbehavingServer, models: str) -> None:
    folder = download("own", models, [server.url], QUICK)
    (folder / INDEX_FILE).write_bytes(b"damaged")
    (folder / DATA_FILE).write_bytes(bytes(1000))
    download("own", models, [server.url], QUICK)
    assert same(folder, server.folder / "own")


def test_a_damaged_index_does_not_cost_the_weights(server: MisbehavingServer, models: str) -> None:
    folder = download("own", models, [server.url], QUICK)
    (folder / INDEX_FILE).write_bytes(b"damaged")
    server.requests.clear()
    download("own", models, [server.url], QUICK)
    assert server.fetched() == [INDEX_FILE]


def test_files_right_one_by_one_that_are_no_model_together_are_refused(
    server: MisbehavingServer, models: str
) -> None:
    hparams = server.folder / "own" / "hparams.json"
    hparams.write_text(hparams.read_text().replace("37", "41"), encoding="utf-8")
    with pytest.raises(CheckpointError, match="wpe"):
        download("own", models, [server.url], QUICK)


def test_a_whole_model_is_not_fetched_again(
    server: MisbehavingServer, models: str, small_release: None
) -> None:
    told = Told()
    assert download("117m", models, [server.url], QUICK) == Path(models) / "117M"
    server.requests.clear()
    for name in ("117M", "124M", "124m"):
        assert download(name, models, [server.url], QUICK, told) == Path(models) / "117M"
    assert server.requests == []
    assert "124M is already here, whole" in told.lines[-1]


def test_a_model_is_kept_under_the_name_asked_for(
    server: MisbehavingServer, models: str, small_release: None
) -> None:
    assert download("124m", models, [server.url], QUICK) == Path(models) / "124M"


def test_transformers_names_of_a_release_fetch_it_unless_a_server_of_ones_own_has_such_a_model(
    server: MisbehavingServer,
    models: str,
    small_release: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(released, "BASE_URL", server.url)
    for name in ("gpt2", "openai-community/gpt2"):
        assert download(name, models, network=QUICK) == Path(models) / "117M"
    (server.folder / "124M").rename(server.folder / "gpt2")
    with MisbehavingServer(server.folder) as own:
        assert download("gpt2", models, [own.url], QUICK) == Path(models) / "gpt2"


def test_a_model_of_a_hub_without_its_prefix_gets_a_hint(models: str) -> None:
    with pytest.raises(UsageError, match=r"\(did you mean hf:uer/gpt2-chinese\?\)"):
        download("uer/gpt2-chinese", models)


def test_a_mirror_may_have_either_name(
    server: MisbehavingServer, models: str, small_release: None
) -> None:
    (server.folder / "124M").rename(server.folder / "117M")
    download("124M", models, [server.url], QUICK)


def test_a_mirror_cannot_pass_other_files_off_as_a_release(
    server: MisbehavingServer, models: str, small_release: None
) -> None:
    evil = server.folder / "evil" / "124M"
    shutil.copytree(server.folder / "124M", evil)
    (evil / "encoder.json").write_text('{"b": 0}', encoding="utf-8")
    with pytest.raises(DownloadError, match=r"encoder.json.*SHA-256"):
        download("117M", models, [f"{server.url}/evil"], QUICK)
    assert not (Path(models) / "117M" / "encoder.json").exists()
    folder = download("117M", models, [f"{server.url}/evil", server.url], QUICK)
    assert same(folder, server.folder / "124M")


def test_the_real_release_is_not_taken_from_a_small_model(
    server: MisbehavingServer, models: str
) -> None:
    (server.folder / "own").rename(server.folder / "774M")
    with pytest.raises(DownloadError, match=r"8 bytes, not 1,042,301"):
        download("774M", models, [server.url], QUICK)


@pytest.mark.parametrize("first", ["http://127.0.0.1:1", "none"])
def test_addresses_are_tried_in_order(
    server: MisbehavingServer, models: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = first if first != "none" else f"{server.url}/none"
    monkeypatch.setenv(downloading.BASE_URL_VARIABLE, f"{address}/, {server.url}/")
    download("own", models, network=QUICK)


def test_a_host_that_is_down_is_not_asked_for_the_other_name(
    server: MisbehavingServer, models: str, small_release: None
) -> None:
    server.misbehave("", status(503), methods="GET HEAD")
    with pytest.raises(DownloadError, match="503"):
        download("117M", models, [server.url], QUICK)
    assert not any("/117M/" in line for line in server.requests)


def test_what_fails_says_what_to_do(server: MisbehavingServer, models: str) -> None:
    words = ["117N", "--models_dir", models, "--base_url", server.url]
    with pytest.raises(DownloadError) as caught:
        command.run(words, "download_model.py")
    for part in (f"{server.url}/117N/checkpoint answers 404 Not Found", "(did you mean 117M?)"):
        assert part in str(caught.value)
    assert not (Path(models) / "117N").exists()


@pytest.mark.parametrize("name", ["117N", "117", "gpt", ""])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match=r"117M = 124M, 345M = 355M, 774M, 1558M") as caught:
        download(name)
    assert ("did you mean 117M?" in str(caught.value)) == name.startswith("117")


@pytest.mark.parametrize("name", ["../own", ".own", "a/b", "a\\b", "", "x" * 300])
def test_a_name_never_leads_out_of_the_models_folder(name: str, models: str) -> None:
    with pytest.raises(UsageError):
        download(name, models, ["http://127.0.0.1:1"], QUICK)


@pytest.mark.parametrize("url", ["example.com/models", "ftp://example.com", "https://", ","])
def test_an_impossible_address_is_a_mistake(url: str, models: str) -> None:
    with pytest.raises(UsageError, match="base URL"):
        download("117M", models, [url], QUICK)


def test_a_proxy_is_taken_from_the_environment(
    server: MisbehavingServer, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    download("own", models, ["http://models.invalid"], QUICK)
    assert f"http://models.invalid/own/{DATA_FILE}" in server.proxied


def test_a_graph_is_fetched_where_there_is_one(server: MisbehavingServer, models: str) -> None:
    (server.folder / "own" / META_FILE).write_bytes(b"graph")
    folder = download("own", models, [server.url], QUICK)
    assert (folder / META_FILE).read_bytes() == b"graph"


def test_a_full_disk_is_noticed_before_the_first_byte(
    server: MisbehavingServer, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=100_000)
    monkeypatch.setattr(mirror.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"16\d,\d+ bytes are missing .* room for 100,000"):
        download("own", models, [server.url], QUICK)
    assert server.fetched() == []


def room_for(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with that many bytes for parts and files, those that are there included."""

    def usage(path: Path) -> object:
        taken = sum(p.stat().st_blocks * 512 for p in Path(path).iterdir())
        return shutil._ntuple_diskusage(size, taken, size - taken)

    monkeypatch.setattr(mirror.shutil, "disk_usage", usage)


@pytest.mark.parametrize("killed", [True, False])
def test_what_cannot_be_gone_on_from_takes_no_room_from_the_next_run(
    server: MisbehavingServer, models: str, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    total = sum(path.stat().st_size for path in (server.folder / "own").iterdir())
    room_for(total + 50_000, monkeypatch)
    server.ranges = False
    if killed:
        part = Path(models) / "own" / f"{DATA_FILE}.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(bytes(150_000))
    else:
        server.misbehave(DATA_FILE, drop)
        with pytest.raises(DownloadError, match="failed 4 times"):
            download("own", models, [server.url], QUICK)
        server.faults.clear()
    folder = download("own", models, [server.url], QUICK)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_what_an_edition_before_left_takes_no_room(
    server: MisbehavingServer, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = sum(path.stat().st_size for path in (server.folder / "own").iterdir())
    (Path(models) / "own").mkdir(parents=True)
    part = PartFile(Path(models) / "own" / DATA_FILE, 150_000, "of long ago", 1 << 20)
    part.path.write_bytes(bytes(150_000))
    part.spans[0].at = 140_000
    part.save()
    room_for(total + 30_000, monkeypatch)
    download("own", models, [server.url], QUICK)


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(mirror.shutil, "copyfileobj", write)
    monkeypatch.setattr(PartFile, "save", write)


def test_a_disk_that_fills_up_is_named_with_the_file(
    server: MisbehavingServer, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_disk(monkeypatch)
    words = ["own", "--models_dir", models]
    file = re.escape(str(Path(models) / "own" / "checkpoint"))
    for more in (["--base_url", server.url], ["--from", str(server.folder / "own")]):
        with pytest.raises(DownloadError, match=f"{file} cannot be written .No space left.*DIR$"):
            command.run([*words, *more], "download_model.py")
    assert not list((Path(models) / "own").glob("*.part*"))


def test_there_must_be_room_for_files_that_were_fetched_by_hand(
    server: MisbehavingServer, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for(1000, monkeypatch)
    with pytest.raises(DownloadError, match=r"has room for 1,000"):
        import_files("own", str(server.folder / "own"), models)
    assert not (Path(models) / "own").exists()


def test_an_address_with_a_signature_serves_a_whole_model(
    server: MisbehavingServer, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = server.url.replace("//", "//name:secret@") + "/?sig=secret"
    words = ["own", "--models_dir", models, "--base_url", address, "--no_export"]
    command.run(words, "download_model.py")
    assert set(server.queries) == {"sig=secret"}
    assert "secret" not in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_noticed_before_the_first_byte(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"cannot be written .*--models_dir"):
        words = ["own", "--models_dir", str(tmp_path / "file"), "--base_url", server.url]
        command.run(words, "download_model.py")
    assert server.requests == []


def test_a_second_run_waits_for_the_first(server: MisbehavingServer, models: str) -> None:
    server.misbehave(DATA_FILE, dripping(10_000, 0.02))
    runs = [Told(), Told()]
    threads = [
        threading.Thread(target=download, args=("own", models, [server.url], QUICK, told))
        for told in runs
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert f"another run is filling {Path(models) / 'own'}" in runs[1].lines[-1]
    assert sum(line.startswith("GET") and "vocab.bpe" in line for line in server.requests) == 1
    assert same(Path(models) / "own", server.folder / "own")


def test_files_fetched_by_hand_are_imported(server: MisbehavingServer, models: str) -> None:
    folder = import_files("own", str(server.folder / "own"), models)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert server.requests == []


def test_a_folder_without_any_of_the_files_leaves_none(tmp_path: Path, models: str) -> None:
    with pytest.raises(DownloadError, match=r"hparams.json: missing"):
        import_files("own", str(tmp_path), models)
    assert not (Path(models) / "own").exists()


def test_damaged_files_fetched_by_hand_are_named(
    server: MisbehavingServer, models: str, small_release: None
) -> None:
    origin = server.folder / "124M"
    (origin / "vocab.bpe").unlink()
    (origin / "encoder.json").write_text('{"b": 0}', encoding="utf-8")
    with pytest.raises(DownloadError, match=r"encoder.json: SHA-256.*vocab.bpe: missing"):
        import_files("117M", str(origin), models)
    there = sorted(path.name for path in (Path(models) / "117M").iterdir())
    assert there == sorted(set(FILES) - {"vocab.bpe", "encoder.json"})


def download_in_a_process(url: str, models: str) -> None:
    download("own", models, [url], QUICK)


def test_twenty_runs_killed_at_random_moments_leave_nothing_wrong(
    server: MisbehavingServer, models: str
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["gpt2_sampler.fetching.fetch_model"])
    moments = random.Random(11)
    folder, served = Path(models) / "own", server.folder / "own"
    server.misbehave("", dripping(2_000, 0.01))
    for _ in range(20):
        run = processes.Process(target=download_in_a_process, args=(server.url, models))
        run.start()
        time.sleep(moments.uniform(0, 0.3))
        run.kill()
        run.join()
        named = [folder / name for name in FILES if (folder / name).exists()]
        assert all(path.read_bytes() == (served / path.name).read_bytes() for path in named)
        if len(named) == len(FILES):
            shutil.rmtree(folder)
    server.faults.clear()
    download("own", models, [server.url], QUICK)
    assert same(folder, served)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def type_command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "download_model.py", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_the_command_downloads_and_then_verifies(server: MisbehavingServer, models: str) -> None:
    byte_vocabulary(server.folder / "own")
    words = ["own", "--models_dir", models, f"--base_url={server.url}", "--no_export"]
    done = type_command(*words)
    assert (done.returncode, done.stdout) == (0, "")
    assert "interactive_conditional_samples.py --model_name own" in done.stderr
    done = type_command("--verify", "own", "--models_dir", models)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{Path(models) / 'own' / n}: right" for n in FILES]
    (Path(models) / "own" / "vocab.bpe").unlink()
    done = type_command("--verify", "--models_dir", models)
    assert done.returncode == 1
    assert "vocab.bpe: missing" in done.stdout
    assert done.stderr == f"error: not whole: {Path(models) / 'own'}\n"


def test_a_model_is_downloaded_verified_and_sampled(models: str) -> None:
    with MisbehavingServer(ROOT / "models") as server:
        server.misbehave("encoder.json", status(500), times=1)
        server.misbehave(DATA_FILE, drop, times=1)
        done = type_command("demo", "--models_dir", models, "--base_url", server.url)
    assert (done.returncode, done.stdout) == (0, "")
    assert type_command("--verify", "demo", "--models_dir", models).returncode == 0
    command = [sys.executable, str(ROOT / "src" / "generate_unconditional_samples.py")]
    words = ["--model_name", "demo", "--models_dir", models, "--nsamples", "1", "--length", "5"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=True)
    assert "SAMPLE 1" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["117N"], 2, "did you mean 117M?"),
        (["--mirror", "x"], 2, "there is no flag --mirror"),
        (["117M", "124M"], 2, "'124M' is not a flag"),
        (["own", "--base_url", "http://127.0.0.1:x"], 2, "a base URL is written https://"),
        (["own", "--from", "/nowhere"], 2, "/nowhere is not a folder to take files from"),
        (["--list", "--verify"], 2, "--list takes neither"),
        (["--name="], 2, "'' is not a released model"),
        (["--name=", "--verify"], 2, "there is no model ''"),
        (["own", "--from="], 2, "'' cannot be a path"),
    ],
)
def test_an_error_is_one_line(words: list[str], code: int, message: str, models: str) -> None:
    with pytest.raises(SamplerError, match=message) as caught:
        command.run([*words, "--models_dir", models], "download_model.py")
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_that_it_can_go_on(
    server: MisbehavingServer, models: str, number: signal.Signals
) -> None:
    server.misbehave(DATA_FILE, dripping(1_000, 0.02))
    words = ["own", "--models_dir", models, "--base_url", server.url, "--quiet"]
    with subprocess.Popen(
        [sys.executable, ROOT / "download_model.py", *words], stderr=subprocess.PIPE, text=True
    ) as run:
        part = Path(models) / "own" / f"{DATA_FILE}.part.json"
        while not part.exists():
            time.sleep(0.02)
        time.sleep(0.2)
        run.send_signal(number)
        assert run.stderr
        lines = run.stderr.read().splitlines()
    assert run.returncode in (-number, 128 + number)
    assert lines == ["stopped; the same command goes on from here"]
    assert part.exists()
    assert not (Path(models) / "own" / DATA_FILE).exists()


def test_the_list_tells_what_is_here(
    server: MisbehavingServer,
    models: str,
    small_release: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = download("124M", models, [server.url], QUICK)
    (Path(models) / "774M").mkdir()
    command.run(["--list", "--models_dir", models], "download_model.py")
    lines = capsys.readouterr().out.splitlines()
    smallest = HParams(**RELEASED["117M"].shape)
    for precision in PRECISIONS:
        assert f"memory {precision}" in lines[0]
        assert f" {memory_needed(smallest, precision, 1, 1024) / 1e9:.1f} GB " in lines[1]
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "117M = 124M",
        "345M = 355M",
        "774M",
        "1558M",
        *BUNDLED,
    ]
    assert all(line.endswith(", bundled") for line in lines[-len(BUNDLED) :])
    assert lines[1].endswith(f"  {folder}")
    assert lines[2].endswith("  no")
    assert lines[3].endswith("774M, not whole: 0 of 6 files")


def test_fetching_and_listing_never_load_tensorflow() -> None:
    code = (
        "import sys; from gpt2_sampler.cli.commands import download; "
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.stdout.strip() == "False"
