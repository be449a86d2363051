"""What torch.save wrote is read without torch, bit for bit; a hostile file is one line."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.hparams import HParams
from gpt2_sampler.weights.named import stored_names
from gpt2_sampler.weights.pytorch import MAX_PICKLE, Tensor, read_pytorch
from tests.checkpoints import DATA, ROOT

FORMATS = DATA / "formats"
SAVED = load_file(FORMATS.parent / "huggingface" / "plain" / "model.safetensors")
WHOLE, LEGACY = FORMATS / "whole" / "pytorch_model.bin", FORMATS / "legacy" / "pytorch_model.bin"


class Storage:
    """As torch's: pickled, it is a reference to a file of the archive."""

    def __init__(self, kind: str, key: str, content: bytes, size: int) -> None:
        self.kind, self.key, self.content, self.size = kind, key, content, size


class Global:
    """Pickled, it is a name."""

    def __init__(self, name: str) -> None:
        self.name = name


class Raw(bytes):
    """Operations that are pickled as they are."""


class Call:
    def __init__(self, name: str, *arguments: object) -> None:
        self.name, self.arguments = name, arguments


def program(value: object) -> bytes:
    """The pickle of values in which names stand that this machine does not have."""

    def write(value: object) -> bytes:  # noqa: PLR0911 (one for each kind)
        if isinstance(value, Storage):
            kind = Global(f"torch.{value.kind}")
            return write(("storage", kind, value.key, "cpu", value.size)) + pickle.BINPERSID
        if isinstance(value, Raw):
            return value
        if isinstance(value, Global):
            module, _, name = value.name.rpartition(".")
            return pickle.GLOBAL + f"{module}\n{name}\n".encode()
        if isinstance(value, Call):
            return write(Global(value.name)) + write(value.arguments) + pickle.REDUCE
        if isinstance(value, tuple):
            return pickle.MARK + b"".join(map(write, value)) + pickle.TUPLE
        if isinstance(value, dict):
            items = b"".join(write(part) for item in value.items() for part in item)
            return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS
        return pickle.dumps(value, 2)[2:-1]

    return pickle.PROTO + b"\x02" + write(value) + pickle.STOP


def rebuilt(storage: object, offset: object, shape: object, strides: object) -> Call:
    no_hooks = Call("collections.OrderedDict")
    return Call("torch._utils._rebuild_tensor_v2", storage, offset, shape, strides, False, no_hooks)


def zipped(
    value: object, *storages: Storage, compression: int = zipfile.ZIP_STORED, **more: bytes
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("x/data.pkl", value if isinstance(value, bytes) else program(value))
        for storage in storages:
            archive.writestr(f"x/data/{storage.key}", storage.content)
        for name, content in more.items():
            archive.writestr(f"x/{name}.pkl" if name == "constants" else f"x/{name}", content)
    return file.getvalue()


def numbers(count: int, kind: str = "FloatStorage", dtype: str = "<f4", key: str = "0") -> Storage:
    return Storage(kind, key, np.arange(count).astype(dtype).tobytes(), count)


def read(tmp_path: Path, content: bytes) -> Any:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    return read_pytorch(path)


@pytest.mark.parametrize("path", [WHOLE, LEGACY])
def test_every_tensor_is_what_was_saved(path: Path) -> None:
    found = read_pytorch(path)
    assert found.keys() == {*SAVED, "lm_head.weight", "transformer.h.0.attn.bias"}
    for name, array in SAVED.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == "F32"
        np.testing.assert_array_equal(found[name][...], array)
    np.testing.assert_array_equal(
        found["lm_head.weight"][3:7], SAVED["transformer.wte.weight"][3:7]
    )


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("FloatStorage", "<f4"), ("DoubleStorage", "<f8"), ("HalfStorage", "<f2")],
)
def test_every_kind_of_floats_is_taken_as_float32(kind: str, dtype: str, tmp_path: Path) -> None:
    storage = numbers(6, kind, dtype)
    found = read(tmp_path, zipped({"a": rebuilt(storage, 0, (2, 3), (3, 1))}, storage))
    assert found["a"][...].dtype == np.float32
    np.testing.assert_array_equal(found["a"][...], np.arange(6).reshape(2, 3))


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    halves = (np.array([1, -2.5], np.float32).view(np.uint32) >> 16).astype("<u2")
    storage = Storage("BFloat16Storage", "0", halves.tobytes(), 2)
    found = read(tmp_path, zipped({"a": rebuilt(storage, 0, (2,), (1,))}, storage))
    np.testing.assert_array_equal(found["a"][...], [1, -2.5])


def test_views_of_a_storage_are_read_as_they_are_laid_out(tmp_path: Path) -> None:
    storage = numbers(12)
    views = {
        "transposed": rebuilt(storage, 0, (4, 3), (1, 4)),
        "part": rebuilt(storage, 5, (2, 2), (4, 1)),
        "one": rebuilt(storage, 11, (), ()),
        "none": rebuilt(storage, 0, (0, 3), (3, 1)),
        "parameter": Call("torch._utils._rebuild_parameter", rebuilt(storage, 0, (2,), (1,)), True),
        "size": Call("torch.Size", (2, 3)),
    }
    found = read(tmp_path, zipped(views, storage))
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(found["transposed"][...], array.T)
    np.testing.assert_array_equal(found["part"][...], array[1:, 1:3])
    np.testing.assert_array_equal(found["one"][...], 11)
    assert found["none"][...].shape == (0, 3)
    np.testing.assert_array_equal(found["parameter"][...], [0, 1])
    assert found["size"] == (2, 3)
    assert found["transposed"].checksum() != found["parameter"].checksum()


def test_what_is_not_asked_for_is_not_read(tmp_path: Path) -> None:
    """An optimizer's state may be damaged: nobody looks."""
    path = tmp_path / "x.pt"
    good, state = numbers(4), numbers(1000, key="1")
    saved = {"w": rebuilt(good, 0, (4,), (1,)), "state": rebuilt(state, 0, (1000,), (1,))}
    content = bytearray(zipped(saved, good, state))
    content[content.index(state.content) + 9] ^= 1
    path.write_bytes(content)
    found = read_pytorch(path)
    np.testing.assert_array_equal(found["w"][...], np.arange(4))
    with pytest.raises(CheckpointError, match=r"is damaged: the checksum of some weights is wrong"):
        found["state"][...]


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    """torch.serialization.set_crc32_options(False) leaves zeros."""
    storage = numbers(4)
    content = zipped({"w": rebuilt(storage, 0, (4,), (1,))}, storage)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for info in archive.infolist():
            content = content.replace(struct.pack("<I", info.CRC), bytes(4))
    found = read(tmp_path, content)
    np.testing.assert_array_equal(found["w"][...], np.arange(4))
    assert found["w"].checksum()[0] != 0


def twice(content: bytes) -> bytes:
    file = io.BytesIO(content)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("x/data/0", b"\0" * 24)
    return file.getvalue()


S = numbers(6)
NESTED = Raw(
    b"]q\0"
    + b"".join(b"]q" + bytes([n]) + b"(h" + bytes([n - 1]) + b"h" + bytes([n - 1]) + b"e0"
               for n in range(1, 27))
    + b"0h\x1a"
)  # fmt: skip
"""A list of twice a list of twice a list ..., which is one value on the stack at its end."""
HOSTILE = {
    "empty": b"",
    "no file of PyTorch's": b"hello" * 100,
    "a zip without data.pkl": zipped({})[:-3].replace(b"data.pkl", b"data.pk_") + b"\0\0\0",
    "a pickle alone": program({}),
    "a pickle in pieces": zipped(program({})[:-1]),
    "no tensor": zipped({"a": rebuilt("storage", 0, (2,), (1,))}),
    "not enough arguments": zipped({"a": Call("torch._utils._rebuild_tensor_v2", S)}, S),
    "storage not there": zipped({"a": rebuilt(S, 0, (6,), (1,))}),
    "storage too short": zipped(
        {"a": rebuilt(S, 0, (6,), (1,))}, Storage("FloatStorage", "0", b"\0" * 23, 6)
    ),
    "storage of two sizes": zipped(
        {"a": rebuilt(S, 0, (6,), (1,)), "b": rebuilt(numbers(3), 0, (3,), (1,))}, S
    ),
    "past the end": zipped({"a": rebuilt(S, 1, (6,), (1,))}, S),
    "strides past the end": zipped({"a": rebuilt(S, 0, (2, 3), (4, 1))}, S),
    "negative strides": zipped({"a": rebuilt(S, 5, (6,), (-1,))}, S),
    "negative offset": zipped({"a": rebuilt(S, -1, (1,), (1,))}, S),
    "negative shape": zipped({"a": rebuilt(S, 0, (-1,), (1,))}, S),
    "true as a shape": zipped({"a": rebuilt(S, 0, (True,), (1,))}, S),
    "huge by repeating one number": zipped({"a": rebuilt(S, 0, (2**40, 2**40), (0, 0))}, S),
    "more axes than strides": zipped({"a": rebuilt(S, 0, (2, 3), (1,))}, S),
    "a thousand axes": zipped({"a": rebuilt(S, 0, (1,) * 1000, (1,) * 1000)}, S),
    "a number for a storage": zipped(b"K\x07Q."),
    "nothing for a storage": zipped(b"NQ."),
    "another thing for a storage": zipped(b"U\x07storageQ."),
    "a storage of no description": zipped(b"U\x07storage\x85Q."),
    "size no number": zipped({"a": rebuilt(Storage("FloatStorage", "0", b"", "6"), 0, (6,), (1,))}),  # type: ignore[arg-type]
    "key no text": zipped({"a": rebuilt(Storage("FloatStorage", 0, b"", 6), 0, (6,), (1,))}),  # type: ignore[arg-type]
    "compressed": zipped({"a": rebuilt(S, 0, (6,), (1,))}, S, compression=zipfile.ZIP_DEFLATED),
    "other byte order": zipped({"a": rebuilt(S, 0, (6,), (1,))}, S, byteorder=b"big"),
    "huge pickle": zipped(b"N0" * (MAX_PICKLE // 2) + b"N."),
    "an offset that holds itself 2^26 times": zipped({"a": rebuilt(S, NESTED, (1,), (1,))}, S),
    "a zero and an axis without end": zipped({"a": rebuilt(S, 0, (0, 2**60), (1, 1))}, S),
    "one flipped bit in its pickle": zipped({"a": 7}).replace(b"K\x07", b"K\x06"),
    "a storage in it twice": twice(zipped({"a": rebuilt(S, 0, (6,), (1,))}, S)),
    "cut short": zipped({"a": rebuilt(S, 0, (6,), (1,))}, S)[:-30],
    "legacy cut short": LEGACY.read_bytes()[:-9],
    "legacy without storages": LEGACY.read_bytes()[:900],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_clear_line(kind: str, tmp_path: Path) -> None:
    began = time.process_time()
    with pytest.raises(CheckpointError) as error:
        read(tmp_path, HOSTILE[kind])
    assert str(tmp_path / "x.pt") in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(tmp_path))
    assert time.process_time() - began < 10  # seconds


def test_what_is_referred_to_is_a_storage(tmp_path: Path) -> None:
    module = b"(U\x06modulectorch\nFloatStorage\nU\x010U\x03cpuK\x06tQ."
    for reference in (b"K\x07Q.", b"U\x07storageQ.", module):
        with pytest.raises(CheckpointError, match="refers to something that is no storage"):
            read(tmp_path, zipped(reference, S))


@pytest.mark.parametrize(
    "value",
    [
        {"model": Call("posix.system", "echo gotcha")},
        {"args": Call("argparse.Namespace")},
        {"w": Call("torch._utils._rebuild_qtensor", 1)},
        Call("torch.nn.modules.linear.Linear"),
    ],
)
def test_what_would_need_a_program_is_named_and_not_run(
    value: object, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckpointError) as error:
        read(tmp_path, zipped(value))
    name = (value if isinstance(value, Call) else next(iter(value.values()))).name  # type: ignore[attr-defined]
    assert f"holds more than tensors ({name!r})" in str(error.value)
    assert "none is run here" in str(error.value)
    assert "python3 -c 'import torch;" in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().out == ""


def test_a_torchscript_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds more than tensors .*TorchScript"):
        read(tmp_path, zipped({}, constants=program(())))


def mutated(source: Path) -> Callable[[int, bytes, int], bytes]:
    good = source.read_bytes()

    def change(at: int, replaced: bytes, length: int) -> bytes:
        place = at % len(good)
        changed = good[:place] + replaced + good[place + len(replaced) :]
        return changed[:length] if length % 5 == 0 else changed

    return change


@settings(max_examples=150)
@given(
    source=st.sampled_from([WHOLE, LEGACY]),
    at=st.integers(0, 1 << 20),
    replaced=st.binary(min_size=1, max_size=4),
    length=st.integers(0, 30_000),
)
def test_any_byte_may_be_wrong(
    source: Path, at: int, replaced: bytes, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "x.pt"
    path.write_bytes(mutated(source)(at, replaced, length))
    try:
        found = read_pytorch(path)
        for tensor in found.values() if isinstance(found, dict) else ():
            if isinstance(tensor, Tensor):
                tensor[...]
    except CheckpointError as error:
        assert "\n" not in str(error)


def test_no_torch_is_needed(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from gpt2_sampler.weights.pytorch import read_pytorch
read_pytorch(Path({str(shutil.copy(WHOLE, tmp_path))!r}))
print("torch" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_weights_that_all_lie_in_one_place_are_refused(tmp_path: Path) -> None:
    """Else reading them would take as long as there are layers, however small the file is."""
    config = {"vocab_size": 7, "n_positions": 5, "n_embd": 32, "n_head": 2, "n_layer": 50}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", **config}))
    hparams = HParams(7, 5, 32, 2, 50)
    storage = numbers(32 * 128)
    names = stored_names(hparams)
    tensors = {
        names[name]: rebuilt(storage, 0, shape, (shape[1], 1) if len(shape) == 2 else (1,))
        for name, shape in hparams.variable_shapes().items()
    }
    (tmp_path / "pytorch_model.bin").write_bytes(zipped(tensors, storage))
    with pytest.raises(CheckpointError, match=r"its weights would have 2,542,592 bytes, and"):
        open_checkpoint(tmp_path)
