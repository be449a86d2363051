"""A model of a hub arrives whole and checked, or one line says what is wrong."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from urllib3.util.retry import Retry

from gpt2_sampler.cli.commands import download as command
from gpt2_sampler.errors import DownloadError, UsageError
from gpt2_sampler.fetching import hub
from gpt2_sampler.fetching.address import origin
from gpt2_sampler.fetching.client import Network
from gpt2_sampler.fetching.fetch_model import download
from gpt2_sampler.fetching.filespec import sha256_of
from gpt2_sampler.fetching.hub import plan
from gpt2_sampler.registry import find_model
from gpt2_sampler.weights.checkpoint import open_checkpoint
from tests.checkpoints import DATA
from tests.misbehaving_server import (
    Answer,
    Fault,
    MisbehavingServer,
    dripping,
    drop,
    page,
    redirect,
    status,
    wrong_bytes,
)

SAVED = DATA / "huggingface"
QUICK = Network(piece=4_009, timeout=0.5, retry=Retry(total=3, backoff_factor=0.001))
COMMIT = "0123abc"
MANY = [f"{number}.model" for number in range(200)]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MisbehavingServer]:
    """A hub with o/sharded, o/chinese and o/pickled, each in one commit and a branch main."""
    pickled = SAVED.parent / "formats" / "whole"
    for name, kind in (
        ("sharded", SAVED / "silu"),
        ("chinese", SAVED / "plain"),
        ("pickled", pickled),
    ):
        folder = tmp_path / "hub" / "o" / name / "resolve" / COMMIT
        shutil.copytree(kind, folder)
        if name == "chinese":
            shutil.copyfile(SAVED / "chinese" / "vocab.txt", folder / "vocab.txt")
            (folder / "README.md").write_text("about")
        publish(tmp_path / "hub", name)
    with MisbehavingServer(tmp_path / "hub") as running:
        yield running


def publish(hub: Path, name: str, **changes: object) -> None:
    """What the hub answers about the files; the large ones have a checksum."""
    folder = hub / "o" / name / "resolve" / COMMIT
    siblings: list[dict[str, object]] = []
    for path in sorted(folder.iterdir()):
        entry: dict[str, object] = {"rfilename": path.name, "size": path.stat().st_size}
        if path.suffix == ".safetensors":
            entry["lfs"] = {"sha256": sha256_of(path), "size": path.stat().st_size}
        siblings.append(entry)
    answer = {"sha": COMMIT, "config": {"model_type": "gpt2"}, "siblings": siblings, **changes}
    for revision in ("main", "v2"):
        path = hub / "api" / "models" / "o" / name / "revision" / revision
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(answer))


def fetch(server: MisbehavingServer, tmp_path: Path, name: str = "hf:o/sharded") -> Path:
    return download(name, str(tmp_path / "models"), [server.url], QUICK)


def test_a_sharded_model_arrives_whole(server: MisbehavingServer, tmp_path: Path) -> None:
    folder = fetch(server, tmp_path)
    assert folder == tmp_path / "models" / "o" / "sharded"
    assert find_model("hf:o/sharded", str(tmp_path / "models")) == folder
    there = {path.name for path in (SAVED / "silu").iterdir()}
    assert {path.name for path in folder.iterdir()} == there
    assert open_checkpoint(folder).fingerprint == open_checkpoint(SAVED / "silu").fingerprint


def test_only_what_sampling_needs_is_fetched(server: MisbehavingServer, tmp_path: Path) -> None:
    folder = fetch(server, tmp_path, "hf:o/chinese@v2")
    assert folder == tmp_path / "models" / "o" / "chinese@v2"
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "vocab.txt"}


def test_what_is_whole_is_not_fetched_again(server: MisbehavingServer, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    server.requests.clear()
    fetch(server, tmp_path)
    assert server.fetched() == ["main"]


@pytest.mark.parametrize("fault", [status(500), status(503), drop])
def test_a_fault_that_passes_does_not_matter(
    fault: Fault, server: MisbehavingServer, tmp_path: Path
) -> None:
    server.misbehave("", fault, times=2)
    fetch(server, tmp_path)


def test_the_environment_names_the_hub_and_has_the_token(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/")
    monkeypatch.setenv("HF_TOKEN", "secret")
    planned = plan("hf:o/sharded", [], QUICK)
    assert planned.source == f"{server.url}/o/sharded/resolve/{COMMIT}"
    assert planned.network.tokens == {origin(server.url): "secret"}
    download("hf:o/sharded", str(tmp_path / "models"), network=QUICK)


def test_the_token_goes_to_the_hub_only(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", " secret\r\n")
    fetch(server, tmp_path)  # from a base URL, which is not the hub
    assert set(server.signed) == {None}
    shutil.rmtree(tmp_path / "models")
    server.signed.clear()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    with MisbehavingServer(server.folder) as storage:
        data = "model-00001-of-00004.safetensors"
        where = f"{storage.url}/o/sharded/resolve/{COMMIT}/{data}"
        server.misbehave(data, redirect(where), methods="GET HEAD")
        download("hf:o/sharded", str(tmp_path / "models"), network=QUICK)
        assert set(storage.signed) == {None}
    assert set(server.signed) == {"Bearer secret"}


def test_who_is_not_let_in_is_told_where_the_token_goes(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    server.misbehave("revision/main", status(401))
    with pytest.raises(DownloadError, match=r"goes to https://huggingface.co only"):
        fetch(server, tmp_path)


@pytest.mark.parametrize("token", ["two words", "über", "a\x1bb", "a\nb"])
def test_a_token_that_cannot_be_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UsageError, match="HF_TOKEN contains more than") as caught:
        plan("hf:o/sharded", [], QUICK)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["huggingface.co", "ftp://n:secret@hub", "https://", "http://h:x"]
)
def test_an_endpoint_that_cannot_be_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(UsageError, match="HF_ENDPOINT is ") as caught:
        plan("hf:o/sharded", [], QUICK)
    assert "secret" not in str(caught.value)


def test_a_listing_has_a_limit(server: MisbehavingServer, tmp_path: Path) -> None:
    body = b'{"siblings": [' + b"0," * (1 << 23)
    packed = gzip.compress(body, compresslevel=1)

    def endless(answer: Answer) -> None:
        answer.body = body

    def endless_when_unpacked(answer: Answer) -> None:
        answer.body = packed
        answer.headers["Content-Encoding"] = "gzip"

    for fault in (endless, endless_when_unpacked):
        server.faults.clear()
        server.misbehave("revision/main", fault)
        with pytest.raises(DownloadError, match="answers more than 16,777,216 bytes"):
            fetch(server, tmp_path)


@pytest.mark.parametrize("size", [-1, 1e300, True, "1", None])
def test_a_size_that_cannot_be_is_none(server: MisbehavingServer, size: object) -> None:
    entries = [
        {"rfilename": name, "size": size, "lfs": {"size": size}}
        for name in ("config.json", "model.safetensors")
    ]
    publish(server.folder, "sharded", siblings=entries, sha="../../x")
    planned = plan("hf:o/sharded", [server.url], QUICK)
    assert [spec.versions for spec in planned.files] == [(), ()]
    assert planned.source == f"{server.url}/o/sharded/resolve/main"


@pytest.mark.parametrize(
    "name",
    [
        "hf:",
        "hf:gpt2",
        "hf:a/b/c",
        "hf:../b",
        "hf:a/..",
        "hf:a/b@",
        "hf:a/b@../x",
        "hf:a/b c",
        f"hf:a/{'b' * 300}",
    ],
)
def test_a_name_that_cannot_be_is_a_mistake(name: str) -> None:
    with pytest.raises(UsageError, match=r"is written hf:OWNER/NAME"):
        plan(name, [], QUICK)


def no_json(answer: Answer) -> None:
    answer.body = b"nothing"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (status(401), "401 .*gated set HF_TOKEN"),
        (status(404), "404 .*spelling of o/sharded"),
        (status(500), "failed .* times"),
        (page, "is a web page"),
        (no_json, "does not answer in JSON"),
    ],
)
def test_a_hub_that_does_not_answer_is_one_line(
    fault: Fault, says: str, server: MisbehavingServer, tmp_path: Path
) -> None:
    server.misbehave("revision/main", fault)
    with pytest.raises(DownloadError, match=says) as error:
        fetch(server, tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "models" / "o").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"config": {"model_type": "llama"}}, "is a 'llama', not a gpt2"),
        ({"siblings": []}, "has no weights, none of model.safetensors, pytorch_model.bin"),
        ({"siblings": [{"rfilename": "a.gguf"}]}, "has only a.gguf, none of model.safetensors"),
        (
            {"siblings": [{"rfilename": n} for n in ("model.safetensors", *MANY)]},
            "has 202 files to fetch",
        ),
        ({"siblings": None}, "does not answer as a hub does"),
        ({"siblings": [{"rfilename": "../model.safetensors"}, 7, {}]}, "no weights"),
    ],
)
def test_a_model_that_cannot_be_sampled_from_is_not_fetched(
    changes: dict[str, object], says: str, server: MisbehavingServer, tmp_path: Path
) -> None:
    publish(server.folder, "sharded", **changes)
    with pytest.raises(DownloadError, match=says):
        fetch(server, tmp_path)


def test_pytorch_weights_and_what_else_a_model_needs_are_fetched(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    folder = server.folder / "o" / "pickled" / "resolve" / COMMIT
    for name in ("spiece.model", "generation_config.json", "optimizer.pt", "rust_model.ot"):
        (folder / name).write_text("{}")
    publish(server.folder, "pickled")
    fetched = fetch(server, tmp_path, "hf:o/pickled")
    assert {path.name for path in fetched.iterdir()} == {
        "config.json",
        "generation_config.json",
        "pytorch_model.bin",
        "spiece.model",
    }


def test_no_name_leads_out_of_the_folder(server: MisbehavingServer, tmp_path: Path) -> None:
    names = ["../x.model", "/x.model", "..\\x.model", ".model", "a/x.model", "x.model\n"]
    publish(server.folder, "pickled")
    listing = server.folder / "api" / "models" / "o" / "pickled" / "revision" / "main"
    answer = json.loads(listing.read_text())
    answer["siblings"] += [{"rfilename": name} for name in names]
    listing.write_text(json.dumps(answer))
    files = plan("hf:o/pickled", [server.url], QUICK).files
    assert not {file.name for file in files} & set(names)
    assert fetch(server, tmp_path, "hf:o/pickled").is_dir()


def test_a_listing_that_drips_is_given_up(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "SLOW", 0.05)
    publish(server.folder, "pickled")
    server.misbehave("revision/main", dripping(1, 0.02))
    with pytest.raises(DownloadError, match=r"takes more than 0.05 s to answer; try again later"):
        plan("hf:o/pickled", [server.url], QUICK)


def test_a_revision_may_be_a_pull_request(server: MisbehavingServer, tmp_path: Path) -> None:
    path = server.folder / "api" / "models" / "o" / "chinese" / "revision"
    shutil.copytree(path, path / "refs" / "pr", copy_function=shutil.copyfile)
    (path / "refs" / "pr" / "v2").rename(path / "refs" / "pr" / "1")
    folder = fetch(server, tmp_path, "hf:o/chinese@refs/pr/1")
    assert folder == tmp_path / "models" / "o" / "chinese@refs" / "pr" / "1"
    assert find_model("hf:o/chinese@refs/pr/1", str(tmp_path / "models")) == folder


def test_weights_with_another_checksum_are_not_kept(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    server.misbehave("00002-of-00004.safetensors", wrong_bytes)
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(server, tmp_path)
    assert not (tmp_path / "models/o/sharded/model-00002-of-00004.safetensors").exists()


def without_sizes(server: MisbehavingServer) -> None:
    """As a hub may list what it has, and as mirrors of it do."""
    names = [path.name for path in (SAVED / "silu").iterdir()]
    publish(server.folder, "sharded", siblings=[{"rfilename": name} for name in names])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("config.json", "is not JSON"),
        ("model.safetensors.index.json", "is not JSON"),
        ("model-00002-of-00004.safetensors", "safetensors"),
    ],
)
def test_what_is_no_such_file_gets_no_name_even_if_no_size_is_known(
    server: MisbehavingServer, tmp_path: Path, name: str, says: str
) -> None:
    without_sizes(server)
    server.md5 = False
    server.misbehave(name, wrong_bytes)
    with pytest.raises(DownloadError, match=f"not the file looked for: .*{says}"):
        fetch(server, tmp_path)
    assert not (tmp_path / "models/o/sharded" / name).exists()
    server.faults.clear()
    assert open_checkpoint(fetch(server, tmp_path)).fingerprint


def test_a_file_without_a_size_that_is_damaged_here_is_fetched_again(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    without_sizes(server)
    folder = fetch(server, tmp_path)
    (folder / "config.json").write_text("{")
    fetch(server, tmp_path)
    assert (folder / "config.json").read_text() == (SAVED / "silu" / "config.json").read_text()


def test_a_file_that_the_hub_lists_and_lacks_names_no_other_models(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    server.misbehave("config.json", status(404), methods="GET HEAD")
    words = ["hf:o/sharded", "--models_dir", str(tmp_path), "--base_url", server.url]
    with pytest.raises(DownloadError, match=r"404.*or a revision: hf:o/sharded@REVISION") as error:
        command.run(words, "gpt2-download")
    assert "117M" not in str(error.value)
