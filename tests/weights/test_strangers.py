"""What is no model is called by its name, with what helps, in one line."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.strangers import name_stranger
from tests.checkpoints import DATA

SAVED = DATA / "huggingface" / "plain"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 548118077\n"


def archive(kind: str) -> bytes:
    file = io.BytesIO()
    if kind in ("zip", "pytorch"):
        with zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr("gpt2/config.json" if kind == "zip" else "archive/data.pkl", "{}")
    else:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("gpt2/config.json"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gpt2.zip", archive("zip"), "a zip archive .* unpack it with: python3 -m zipfile -e"),
        ("gpt2.tar", archive("tar"), "a tar archive; unpack it with: tar -xf"),
        ("gpt2.tar.gz", b"\x1f\x8b\x08rest", "a gzip archive; unpack it with: tar -xf"),
        ("model.onnx", b"\x08\x07pytorch", "an ONNX program"),
        ("model.tflite", b"\x1c\0\0\0TFL3", "a LiteRT program"),
        ("flax_model.msgpack", b"\x81\xa0", "Flax's format; .* from_flax=True"),
        ("rust_model.ot", b"\x01\x02", "rust-bert's format"),
        ("model.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file without a config.json beside it"),
        ("ggml-model.bin", b"lmgg\0\0", "a file of ggml before GGUF"),
        ("model.safetensors", b"\x02\0\0\0\0\0\0\0{}", "weights without a config.json beside"),
        ("pytorch_model.bin", b"\x80\x02}", "weights without a config.json beside them"),
        ("page.bin", b"\n<!doctype html><title>404", "a web page and no model"),
        ("webtext.jsonl", b'{"text": ""}', "a dataset and no model"),
        ("x.parquet", b"PAR1", "a Parquet file, a dataset"),
        ("prompt.txt", b"Once upon", "a text and no model"),
        ("rust_model.ot", archive("zip"), "rust-bert's format"),
        ("epoch=1.ckpt", archive("pytorch"), "a file of PyTorch's whose name does not say"),
        ("gpt2_124M.bin", b"\xc6\xd7\x34\x01\x03\0\0\0", "of llm.c's format; .*export_hf.py"),
        ("nothing", b"", "empty; copy or download it again"),
        ("model.gguf", POINTER, "a Git LFS pointer, not the file itself; type: git -C .* lfs pull"),
        ("ckpt.pt", POINTER, "a Git LFS pointer"),
        ("model.gguf", b"GGML", "is damaged or no GGUF file"),
        ("ckpt.pt", b"hello", "is damaged or no file of PyTorch's"),
    ],
)
def test_a_file_is_called_by_its_name(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, says)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"adapter_config.json": '{"base_model_name_or_path": "gpt2"}', "adapter_model.bin": ""},
            "a LoRA adapter of 'gpt2', not a model; merge the two with: python3 -c .*peft",
        ),
        (
            {"checkpoint-5/config.json": "{}", "checkpoint-10/config.json": "{}"},
            "a training run's folder; give one of its 2 steps: .*checkpoint-10",
        ),
        ({"decoder_model.onnx": "x"}, "a folder with decoder_model.onnx, which is an ONNX program"),
        ({"saved_model.pb": "x"}, "a folder with saved_model.pb, which is a TensorFlow program"),
        ({"dataset_info.json": "{}", "data.arrow": "x"}, "a dataset and no model"),
        ({"train.jsonl": "{}", "test.jsonl": "{}"}, "a dataset and no model"),
        ({"optimizer.pt": "x", "trainer_state.json": "{}"}, "what is left of a training without"),
        ({"gpt2/config.json": "{}"}, "a folder around a model; give .*gpt2"),
        (
            {"run1/checkpoint": "", "run1/model-90.index": "", "run1/model-90.meta": ""},
            "a folder around a model; give .*run1$",
        ),
        ({"a.gguf": "x", "b.gguf": "x"}, "has several models, a.gguf, b.gguf; give one"),
        ({"a/config.json": "{}", "b/config.json": "{}"}, r"a folder of 2 models \(a, b, ...\)"),
        ({"snapshots/0a1b/config.json": "{}", "refs/main": "0a1b"}, "give .*snapshots/0a1b"),
        ({"zero_to_fp32.py": "x", "latest": "x"}, "what DeepSpeed saved in parts; join them: cd"),
        ({"model.safetensors": "x"}, "a folder with model.safetensors, which is weights without"),
        ({"gpt2.7z": "7z", "x.gz": ""}, "a folder with x.gz, which is empty"),
        ({}, "an empty folder"),
        ({"README.md": "x"}, "holds no model"),
    ],
)
def test_a_folder_is_called_by_its_name(files: dict[str, str], says: str, tmp_path: Path) -> None:
    for name, content in files.items():
        path = tmp_path / "given" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "given").mkdir(exist_ok=True)
    refused(tmp_path / "given", says)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pointer_in_place_of_a_file_is_told(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAVED, tmp_path / "clone"))
    (folder / name).write_bytes(POINTER)
    refused(folder, "is a Git LFS pointer, not the file itself")


def test_weights_of_another_format_alone_are_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps(json.loads((SAVED / "config.json").read_text()))
    )
    (tmp_path / "flax_model.msgpack").write_bytes(b"\x81")
    refused(tmp_path, "a folder with flax_model.msgpack, which is of Flax's format")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "model.fp16.safetensors",
            "has no model.safetensors, but model.fp16.safetensors; if those",
        ),
        ("model-00001-of-00002.safetensors", "no model.safetensors.index.json, which says what is"),
        ("pytorch_model-00003-of-00003.bin", "no pytorch_model.bin.index.json, which says what"),
        ("optimizer.bin", "what is left of a training without its model"),
    ],
)
def test_weights_by_another_name_are_told(name: str, says: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAVED, tmp_path / "given"))
    (folder / "model.safetensors").rename(folder / name)
    refused(folder, says)
    if name == "model.fp16.safetensors":
        open_checkpoint(folder / name)


def test_an_adapters_file_is_told_as_its_folder(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "gpt2"}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    refused(tmp_path / "adapter_model.safetensors", "is a LoRA adapter of 'gpt2'")


def refused(path: Path, says: str) -> None:
    with pytest.raises(CheckpointError, match=says) as error:
        open_checkpoint(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_zips_that_are_no_archives_to_unpack_are_called_by_their_names(tmp_path: Path) -> None:
    for name, inner, says in (
        ("last.ckpt", "last/data.pkl", "a file of PyTorch's whose name does not say"),
        ("gpt2.keras", "config.json", "a model of Keras's own"),
        ("model.zip", "config.json", "a zip archive and no model of PyTorch's; unpack it with:"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(inner, "x")
        assert says in str(name_stranger(tmp_path / name))


def test_what_is_no_model_at_all_is_named(tmp_path: Path) -> None:
    (tmp_path / "story").write_bytes(b"\x00\x01Once upon a time")
    os.mkfifo(tmp_path / "pipe")
    for path, says in [
        (tmp_path / "story", "story is no model of a kind that is known here"),
        (tmp_path / "pipe", "is a pipe or a device"),
        (Path("/dev/zero"), "is a pipe or a device"),
    ]:
        with pytest.raises(CheckpointError, match=says):
            open_checkpoint(path)
