"""A path that is no model read here -> what it is, and what would help. Reads a few bytes.

What people have beside models, or take for one, often has a name that says so, or a beginning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from gpt2_sampler.files import quote, read_object

BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "a gzip archive; unpack it with: tar -xf {path}, and give the folder"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and give the folder"),
    (b"Rar!", "a RAR archive; unpack it and give the folder"),
    (b"PAR1", "a Parquet file, a dataset and no model"),
    (b"ARROW1", "an Arrow file, a dataset and no model"),
    (
        b"\xc6\xd74\x01",
        "of llm.c's format; write the model for transformers with llm.c's dev/eval/export_hf.py, "
        "and give the folder",
    ),
    (b"lmgg", "a file of ggml before GGUF; convert the model anew with llama.cpp"),
    (b"tjgg", "a file of ggml before GGUF; convert the model anew with llama.cpp"),
    (b"<!DOCTYPE", "a web page and no model: the download went wrong; download it again"),
    (b"<html", "a web page and no model: the download went wrong; download it again"),
)
"""How files begin -> what they are."""
ENDS: tuple[tuple[tuple[str, ...], str], ...] = (
    ((".onnx",), "an ONNX program, whose weights have no names; give the folder it was made of"),
    ((".tflite",), "a LiteRT program, whose weights have no names; give the folder it was made of"),
    (
        (".msgpack",),
        "of Flax's format; save the model for PyTorch, by transformers below 5, with: {flax}",
    ),
    ((".ot",), "of rust-bert's format; give the folder it was made of"),
    ((".pb",), "a TensorFlow program, not a checkpoint; give the checkpoint or the folder"),
    (
        (".keras",),
        "a model of Keras's own; save it with KerasHub's export to Hugging Face's layout",
    ),
    ((".jsonl", ".csv", ".tsv", ".parquet", ".arrow"), "a dataset and no model"),
    ((".txt", ".md", ".log"), "a text and no model"),
)
"""How names end -> what the files are."""
ADAPTER = "adapter_config.json"
TELLING = (
    ".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".onnx", ".tflite", ".msgpack", ".ot", ".pb",
    ".keras", ".h5", ".bin", ".safetensors", ".ckpt", ".pt", ".pth",
)  # fmt: skip
"""Ends of names that say what a folder with them is."""
BESIDE = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state|adapter_)")
"""How files begin that training leaves beside the weights."""
MARKS = ("*/config.json", "snapshots/*/config.json", "*/checkpoint", "*/*.index", "*/*.hdf5")
"""Files of a model, seen from the folder around it."""
FLAX = (
    "import transformers as t; t.GPT2LMHeadModel.from_pretrained({folder}, from_flax=True)"
    ".save_pretrained({folder})"
)
MERGE = (
    "import peft, transformers as t; p = {folder}; "
    "peft.AutoPeftModelForCausalLM.from_pretrained(p).merge_and_unload().save_pretrained(p + "
    '"-merged"); t.AutoTokenizer.from_pretrained({base}).save_pretrained(p + "-merged")'
)


def name_stranger(path: Path) -> str | None:
    """What the file or folder is, with what to do; None where nothing is known of it."""
    look: Callable[[Path], str | None] = describe_folder if path.is_dir() else describe_file
    try:
        what = look(path)
    except OSError:
        return None
    return what and f"{path} is {what}"


def describe_file(path: Path) -> str | None:  # noqa: PLR0911 (one for each kind)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        begin = file.read(512)
    if not begin:
        return "empty; copy or download it again"
    if path.name.startswith("adapter_model") and (path.parent / ADAPTER).is_file():
        return describe_folder(path.parent)
    for start, what in BEGINNINGS:
        if begin.lstrip().lower().startswith(start.lower()):
            return what.format(path=quote(str(path)))
    for ends, what in ENDS:
        if path.name.lower().endswith(ends):
            return what.format(flax=quote_program(FLAX, folder=path.parent))
    if begin.startswith(b"PK\x03\x04") and b"/data.pkl" in begin:
        return (
            "a file of PyTorch's whose name does not say what is in it; give a folder with it as "
            "pytorch_model.bin beside its config.json, or one of nanoGPT's as ckpt.pt"
        )
    if begin.startswith(b"PK\x03\x04"):
        unzip = f"python3 -m zipfile -e {quote(str(path))} FOLDER"
        return f"a zip archive and no model of PyTorch's; unpack it with: {unzip}"
    if begin[257:262] == b"ustar":
        return f"a tar archive; unpack it with: tar -xf {quote(str(path))}, and give the folder"
    if begin.startswith(b"\x89HDF"):
        return (
            "an HDF5 file without a config.json beside it, which says what it holds; give the "
            "folder as transformers saved it"
        )
    if path.suffix in (".safetensors", ".bin"):
        return "weights without a config.json beside them, which says their shape; give both"
    return None


def describe_folder(path: Path) -> str | None:  # noqa: PLR0911
    names = {entry.name for entry in path.iterdir()}
    if ADAPTER in names:
        base = str(read_object(path / ADAPTER).get("base_model_name_or_path"))
        merge = quote_program(MERGE, folder=path, base=base)
        return f"a LoRA adapter of {base!r:.80}, not a model; merge the two with: {merge}"
    steps = [name for name in names if re.fullmatch(r"checkpoint-\d+", name)]
    if steps:
        last = max(steps, key=lambda name: int(name.partition("-")[2]))
        return f"a training run's folder; give one of its {len(steps)} steps: {path / last}"
    if "zero_to_fp32.py" in names:
        here = quote(str(path))
        return f"what DeepSpeed saved in parts; join them: cd {here} && python3 zero_to_fp32.py . ."
    for name in sorted(names):
        if name.endswith((".onnx", ".msgpack", ".tflite", ".ot")) or name == "saved_model.pb":
            return f"a folder with {name}, which is {describe_file(path / name)}"
    if names & {"dataset_info.json", "dataset_dict.json", "state.json"}:
        return "a dataset and no model"
    if "trainer_state.json" in names or any(map(BESIDE.match, names)):
        return "what is left of a training without its model; give the folder of the model"
    inner = sorted({file.parent for mark in MARKS for file in path.glob(mark) if file.is_file()})
    if len(inner) == 1:
        return f"a folder around a model; give {inner[0]}"
    if inner:
        some = ", ".join(folder.name for folder in inner[:3])
        return f"a folder of {len(inner)} models ({some}, ...); give one, such as {inner[0]}"
    if names and all(name.endswith((".jsonl", ".parquet", ".arrow", ".csv")) for name in names):
        return "a dataset and no model"
    for name in sorted(name for name in names if name.lower().endswith(TELLING)):
        if what := describe_file(path / name):
            return f"a folder with {name}, which is {what}"
    return None if names else "an empty folder, which holds no model"


def quote_program(program: str, **values: object) -> str:
    quoted = {name: json.dumps(str(value)) for name, value in values.items()}
    return f"python3 -c {quote(program.format(**quoted))}"
