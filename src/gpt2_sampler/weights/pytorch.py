"""A file of PyTorch's (torch.save) -> what is in it, its tensors mapped from the file.

Knows both layouts of the format, nothing of GPT-2. Needs no torch and runs no program: pickles.py
reads the pickle, with stand-ins for the few names that PyTorch writes for tensors.

Formats: a zip archive of a pickle and one file for each storage (torch/serialization.py, _save);
before PyTorch 1.6 pickles, then the storages, in a row (_legacy_save).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_sampler.errors import CheckpointError, brief
from gpt2_sampler.files import map_bytes, quote
from gpt2_sampler.pickles import Pickle, StandIn, UnknownName
from gpt2_sampler.weights.storage import STORED, Floats, Rows, is_natural, require_shape, size_of

MAX_PICKLE = 1 << 24  # bytes; that of a model of 48 layers and its optimizer has 400,000
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
LOCAL_HEADER = 30  # bytes before a zipped file's name
CHUNK = 1 << 20  # bytes
STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8",
    "ByteStorage": "U8", "BoolStorage": "BOOL",
}  # fmt: skip
"""The names of PyTorch's types -> safetensors' of the same."""


def read_pytorch(path: Path) -> Any:
    """Dicts, lists, tuples, text and numbers as they were saved; a Tensor for each tensor.

    Raises CheckpointError for a file that is not whole and sound, or asks for anything else.
    """
    file = map_bytes(path)
    try:
        storages = Storages(path, file)
        return read_zip(storages) if zipfile.is_zipfile(path) else read_legacy(storages)
    except UnknownName as error:
        plain = path.with_name("plain.pt")
        program = (
            f"import torch; m = torch.load({json.dumps(str(path))}, weights_only=False, "
            'map_location="cpu"); m = getattr(m, "state_dict", lambda: m)(); torch.save({k: m[k] '
            'for k in m if k in ("model", "model_args") or torch.is_tensor(m[k])}, '
            f"{json.dumps(str(plain))})"
        )
        raise CheckpointError(
            f"{path} holds more than tensors ({error.name!r:.100}), for which a program would have "
            "to run, and none is run here; if you trust it, save its tensors alone and give "
            f"{plain} instead: python3 -c {quote(program)}"
        ) from None
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is damaged or no file of PyTorch's ({error})", file=path
        ) from None


@dataclasses.dataclass(eq=False)
class Storage:
    """Numbers of one type in a row. content is their bytes in the file, and what else is in the
    same file of an archive; crc32 is what the archive says of it, 0 where it says nothing."""

    path: Path
    dtype: str
    size: int
    content: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.uint8))
    crc32: int = 0

    @property
    def n_bytes(self) -> int:
        return size_of(self.dtype, (self.size,))

    @functools.cached_property
    def content_crc(self) -> int:
        """The CRC-32 of its bytes."""
        crc = 0
        for start in range(0, len(self.content), CHUNK):
            crc = zlib.crc32(self.content[start : start + CHUNK].tobytes(), crc)
        return crc

    def check_content(self) -> np.ndarray:
        """Its bytes. Raises CheckpointError where they are not what was written."""
        if self.crc32 and self.content_crc != self.crc32:
            raise CheckpointError(
                f"{self.path} is damaged: the checksum of some weights is wrong", file=self.path
            )
        return self.content


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor in a storage, of which offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def dtype(self) -> str:
        return self.storage.dtype

    @property
    def n_bytes(self) -> int:
        return size_of(self.dtype, self.shape)

    def __getitem__(self, index: Any) -> Floats:
        stored = np.dtype(STORED[self.dtype])
        strides = [stride * stored.itemsize for stride in self.strides]
        offset = self.offset * stored.itemsize
        array: np.ndarray = np.ndarray(
            self.shape, stored, self.storage.check_content(), offset, strides
        )
        return Rows(array, self.dtype)[index]

    def checksum(self) -> tuple[int, ...]:
        return (self.storage.crc32 or self.storage.content_crc, self.offset, *self.strides)


def rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> Tensor:
    """What torch._utils._rebuild_tensor_v2 makes. Raises ValueError."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor is not described by a storage, a shape and strides")
    shape = require_shape(shape)
    if type(strides) is not tuple or not all(map(is_natural, (offset, *strides))):
        raise ValueError(f"a tensor has the offset {brief(offset)}, strides {brief(strides)}")
    if len(shape) != len(strides):
        raise ValueError(f"a tensor of shape {shape} has {len(strides)} strides")
    if (size := math.prod(shape)) > storage.size:
        raise ValueError(f"a tensor of {size} numbers is in a storage of {storage.size}")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if size and last >= storage.size:
        raise ValueError(f"a tensor goes on to number {last} of a storage of {storage.size}")
    return Tensor(storage, offset if size else 0, shape, strides)


def rebuild_parameter(data: Any, *_: object) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError("a parameter is no tensor")
    return data


KNOWN: dict[str, object] = {
    "collections.OrderedDict": StandIn(lambda: {}),
    "torch._utils._rebuild_tensor": StandIn(rebuild_tensor),
    "torch._utils._rebuild_tensor_v2": StandIn(rebuild_tensor),
    "torch._utils._rebuild_parameter": StandIn(rebuild_parameter),
    "torch.Size": StandIn(lambda numbers=(): require_shape(numbers)),
    "torch.device": StandIn(lambda *_: None),
}
"""What PyTorch names in a file of tensors -> what stands for it."""
KNOWN |= {f"torch.{name}": dtype for name, dtype in STORAGES.items()}
KNOWN |= {f"torch.{name}": name for name in ("float32", "float16", "bfloat16", "float64")}


class Storages(dict[str, Storage]):
    """The storages that a pickle refers to, by their keys, each added when it is first met."""

    def __init__(self, path: Path, file: np.ndarray) -> None:
        super().__init__()
        self.path, self.file = path, file

    def meet(self, reference: Any) -> Storage:
        """("storage", type, key, device, numbers); old files append a view, which must be None."""
        if type(reference) is not tuple or reference[:1] != ("storage",):
            raise ValueError("it refers to something that is no storage")
        _, dtype, key, _, size, *part = reference
        if part not in ([], [None]):
            raise ValueError("one of its storages is part of another")
        if dtype not in STORAGES.values() or type(key) is not str or not is_natural(size):
            raise ValueError("one of its storages has no type, key and size")
        found = self.setdefault(key, Storage(self.path, dtype, size))
        if (found.dtype, found.size) != (dtype, size):
            raise ValueError("one of its storages is of two kinds")
        return found

    def place(self, key: str, content: np.ndarray) -> None:
        """Says where a storage lies."""
        storage = self[key]
        if storage.n_bytes > len(content):
            raise ValueError(
                f"it is cut short: a storage of {storage.n_bytes:,} bytes is not whole"
            )
        storage.content = content


def read_zip(storages: Storages) -> Any:
    file = storages.file
    with zipfile.ZipFile(storages.path) as archive:
        members = archive.infolist()
    files = {info.filename: info for info in members}
    if len(files) < len(members):
        raise ValueError("a file is in the archive twice")
    pickled = [name for name in files if name.split("/")[1:] == ["data.pkl"]]
    if len(pickled) != 1:
        raise ValueError("a zip archive without the one data.pkl that PyTorch writes")
    root = pickled[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in files:
        raise UnknownName("a TorchScript program")
    if f"{root}byteorder" in files:
        require_little_endian(read_small(file, files[f"{root}byteorder"]) == b"little")
    value = Pickle(read_small(file, files[pickled[0]]), KNOWN, storages.meet).load()
    for key, storage in storages.items():
        info = files.get(f"{root}data/{key}")
        if info is None:
            raise ValueError(f"it has no data/{key:.40}")
        storages.place(key, find_content(file, info))
        storage.crc32 = info.CRC
    return value


def read_small(file: np.ndarray, info: zipfile.ZipInfo) -> bytes:
    """A zipped file's bytes, compared with their checksum. Raises ValueError."""
    if info.file_size > MAX_PICKLE:
        raise ValueError(f"{info.filename!r:.80} has {info.file_size:,} bytes")
    content = find_content(file, info).tobytes()
    if info.CRC and zlib.crc32(content) != info.CRC:
        raise ValueError(f"the checksum of {info.filename!r:.80} is wrong")
    return content


def find_content(file: np.ndarray, info: zipfile.ZipInfo) -> np.ndarray:
    """Where a zipped file's content is: after its name and what else its header has."""
    header = info.header_offset
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed, which PyTorch's files are not")
    if header < 0 or header + LOCAL_HEADER > len(file):
        raise ValueError("it is cut short")
    lengths = file[header + LOCAL_HEADER - 4 : header + LOCAL_HEADER].view("<u2").tolist()
    begin = header + LOCAL_HEADER + sum(lengths)
    if begin + info.file_size > len(file):
        raise ValueError("it is cut short")
    return file[begin : begin + info.file_size]


def require_little_endian(little: bool) -> None:
    if not little:
        raise ValueError("its numbers are laid out for another kind of processor")


def read_legacy(storages: Storages) -> Any:
    """Five pickles: a number to know the format by, its version, the machine, the content, and
    the keys of the storages, which follow; each has how many numbers it holds before them."""
    file = storages.file
    pickles = Pickle(file[:MAX_PICKLE].tobytes(), KNOWN, storages.meet)
    if pickles.load() != LEGACY_MAGIC or pickles.load() != LEGACY_VERSION:
        raise ValueError("it does not begin as PyTorch's files do")
    machine = pickles.load()
    if type(machine) is not dict:
        raise ValueError("it says nothing of the machine")
    require_little_endian(machine.get("little_endian") is True)
    value, keys = pickles.load(), pickles.load()
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise ValueError("its storages have no keys")
    if sorted(keys) != sorted(storages):
        raise ValueError("it does not have the storages that it refers to")
    at = pickles.at
    for key in keys:
        at += 8
        storages.place(key, file[at : at + storages[key].n_bytes])
        if int.from_bytes(file[at - 8 : at].tobytes(), "little") != storages[key].size:
            raise ValueError("a storage has another size than the tensors in it")
        at += storages[key].n_bytes
    return value
