"""A file of a model, by its name -> whether it is what it must be, where no checksum is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.fetching import released
from gpt2_sampler.fetching.fetch_file import Check
from gpt2_sampler.fetching.filespec import FileSpec
from gpt2_sampler.files import map_bytes, read_bytes, read_object, read_text
from gpt2_sampler.tokenizer.byte_level import ENCODER_NAME, MERGES_NAME
from gpt2_sampler.weights.hparams import FILE_NAME
from gpt2_sampler.weights.huggingface import READERS
from gpt2_sampler.weights.leveldb import masked_crc32c
from gpt2_sampler.weights.openai import STATE_FILE
from gpt2_sampler.weights.tensor_bundle import read_index


def check_weights(path: Path) -> None:
    """Compares every tensor with its checksum in the index beside the weights."""
    try:
        entries, _ = read_index(path.with_name(released.INDEX_FILE))
    except CheckpointError:  # the index has its own check
        return
    data = map_bytes(path)
    for name, entry in entries.items():
        stored = data[entry.offset : entry.offset + entry.size]
        if len(stored) < entry.size or masked_crc32c(stored) != entry.crc32c:
            raise CheckpointError(f"the checksum of {name} is wrong")


def check_state(path: Path) -> None:
    if "model_checkpoint_path" not in read_text(path):
        raise CheckpointError(f"{path} names no model_checkpoint_path")


def check_of(file: FileSpec) -> Check:
    """What a file of a Hugging Face model must be, by its name."""
    suffix = Path(file.name).suffix
    if suffix == ".json":
        return read_object
    if file.large:
        return READERS[suffix]
    return read_text if suffix == ".txt" else read_bytes


CHECKS: Mapping[str, Check] = {
    STATE_FILE: check_state,
    ENCODER_NAME: read_object,
    MERGES_NAME: read_text,
    FILE_NAME: read_object,
    released.INDEX_FILE: read_index,
    released.DATA_FILE: check_weights,
}
