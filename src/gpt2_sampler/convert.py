"""A model of any kind -> a new folder in OpenAI's or Hugging Face's layout, with the same logits.

Knows folders and files, but not how weights are stored in them.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_sampler.engines.litert.export import discard
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.engines.memory import free_memory, require_memory
from gpt2_sampler.errors import CheckpointError, EngineError, UsageError
from gpt2_sampler.files import read_bytes, require_place
from gpt2_sampler.opening import find_vocabulary, open_vocabulary
from gpt2_sampler.tokenizer.byte_level import ENCODER_NAME, END_OF_TEXT_NAME, MERGES_NAME, Encoder
from gpt2_sampler.tokenizer.characters import FILE_NAME as META_NAME
from gpt2_sampler.tokenizer.declared import (
    ADDED_NAME,
    GENERATION_NAME,
    SETTINGS_NAME,
    VOCABULARY_MERGES_NAME,
    VOCABULARY_NAME,
    Folder,
    optional_object,
)
from gpt2_sampler.tokenizer.load import OPENAI_NAMES, VOCABULARY_FILES, Tokenizer, has_vocabulary
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint
from gpt2_sampler.weights.hparams import HParams
from gpt2_sampler.weights.huggingface import save_huggingface
from gpt2_sampler.weights.openai import save_checkpoint
from gpt2_sampler.writing import write_whole

KINDS = ("openai", "huggingface")
CLOSE = 1e-4  # of every logit
COMPARED = 32  # tokens
SAME = ("n_vocab", "start_of_text", "end_of_text", "ends", "before")


def convert(source: Checkpoint, target: Path, kind: str) -> None:
    """Writes the model to target, which appears only once it is complete and has the same logits.

    Raises UsageError if target exists, CheckpointError if the logits differ, EngineError if there
    is no room in memory to compare them, SamplerError if it cannot be written.
    """
    require_target(target)
    require_room(source.hparams)
    vocabulary = find_vocabulary(source)
    folder = vocabulary if isinstance(vocabulary, Path) else None
    tokenizer = open_vocabulary(vocabulary) if folder is None or has_vocabulary(folder) else None
    with write_whole(target) as new:
        new.mkdir()
        if kind == "openai":
            save_checkpoint(new, source.hparams, source)
            files = make_openai_files(folder, tokenizer)
        else:
            save_huggingface(new, source.hparams, source, describe_ends(tokenizer))
            files = make_huggingface_files(folder, tokenizer, source.hparams.n_ctx)
        for name, content in files.items():
            (new / name).write_bytes(content)
        compare(source, new)
        require_new(target)  # still


def require_target(target: Path) -> None:
    """Raises UsageError unless a new folder can be made there."""
    require_new(target)
    require_place(target, folders=True)


def require_room(hparams: HParams) -> None:
    """Raises EngineError if the models cannot be compared in memory, one after the other."""
    try:
        require_memory(hparams, "float32", 1, COMPARED, free_memory())
    except EngineError as error:  # whose settings that would fit are not for a conversion
        raise EngineError(str(error)) from None


def require_new(target: Path) -> None:
    if os.path.lexists(target):
        raise UsageError(f"{target} exists and is never overwritten; choose another name")


def compare(source: Checkpoint, converted: Path) -> None:
    """Reads the same tokens with both. Raises CheckpointError unless every logit agrees."""
    h = source.hparams
    tokens = np.random.default_rng(0).integers(h.n_vocab, size=min(COMPARED, h.n_ctx)).tolist()
    new = open_checkpoint(converted)
    logits = [load_engine(model, "cpu").logits(tokens) for model in (source, new)]
    gc.collect()  # Windows neither renames nor removes what an engine has mapped
    discard(new)  # its folder is about to have another name
    worst = float(np.abs(logits[0] - logits[1]).max())
    if not worst <= CLOSE:  # also where it is not a number
        raise CheckpointError(
            f"the logits of {source.folder} and of what was made of it differ by {worst:.2g}; "
            "nothing was kept, please report this"
        )


def describe_ends(tokenizer: Tokenizer | None) -> dict[str, Any]:
    """The tokens that a text begins after and ends with, as Hugging Face's settings name them."""
    if tokenizer is None:
        return {"bos_token_id": None, "eos_token_id": None}
    ends = sorted(tokenizer.ends, key=lambda token: token != tokenizer.end_of_text)
    end: Any = ends if len(ends) > 1 else tokenizer.end_of_text
    return {"bos_token_id": tokenizer.start_of_text, "eos_token_id": end}


def make_openai_files(folder: Path | None, tokenizer: Tokenizer | None) -> dict[str, bytes]:
    """encoder.json and vocab.bpe if these can express the whole tokenizer; else the folder's own
    files, completed with what config.json said about them."""
    if found := read_present(folder, OPENAI_NAMES):
        return found
    if isinstance(tokenizer, Encoder):
        plain = Encoder(tokenizer.vocabulary, tokenizer.merges)
        added = set(tokenizer.added) <= {END_OF_TEXT_NAME}
        if added and all(getattr(plain, name) == getattr(tokenizer, name) for name in SAME):
            return encode_pair(tokenizer, ENCODER_NAME, MERGES_NAME)
    return read_vocabulary(folder, tokenizer)


def make_huggingface_files(
    folder: Path | None, tokenizer: Tokenizer | None, n_ctx: int
) -> dict[str, bytes]:
    found = read_present(folder, OPENAI_NAMES)
    if not found and (copied := read_vocabulary(folder, tokenizer)):
        return copied
    if not isinstance(tokenizer, Encoder):
        return {}
    named = {n: text for text, n in tokenizer.vocabulary.items()}
    names = {"bos_token": tokenizer.start_of_text, "eos_token": tokenizer.end_of_text}
    tokens = {name: named[n] for name, n in names.items() if n is not None}
    config = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": n_ctx, **tokens}
    added = {text: tokenizer.vocabulary[text] for text in tokenizer.added}
    names_of_files = (VOCABULARY_NAME, VOCABULARY_MERGES_NAME)
    return {
        **encode_pair(tokenizer, *names_of_files),
        **dict(zip(names_of_files, found.values(), strict=False)),
        SETTINGS_NAME: encode_json(config),
        **({ADDED_NAME: encode_json(added)} if set(added) > {END_OF_TEXT_NAME} else {}),
    }


def encode_pair(tokenizer: Encoder, vocabulary: str, merges: str) -> dict[str, bytes]:
    """The two files of a byte-level vocabulary, by these names."""
    lines = "\n".join(["#version: 0.2", *tokenizer.merges, ""])
    return {vocabulary: json.dumps(tokenizer.vocabulary).encode(), merges: lines.encode()}


def read_vocabulary(folder: Path | None, tokenizer: Tokenizer | None) -> dict[str, bytes]:
    """The tokenizer files of a Hugging Face folder, made independent of its config.json; or
    nanoGPT's characters."""
    found = read_present(folder, VOCABULARY_FILES)
    if folder is None or tokenizer is None or not found:
        return found or read_present(folder, [META_NAME])
    kind = {"tokenizer_class": Folder(folder).kind}
    settings = optional_object(folder / SETTINGS_NAME)
    generation = optional_object(folder / GENERATION_NAME)
    found[SETTINGS_NAME] = encode_json({**settings, **kind})
    found[GENERATION_NAME] = encode_json({**generation, **describe_ends(tokenizer)})
    return found


def encode_json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"


def read_present(folder: Path | None, names: Sequence[str]) -> dict[str, bytes]:
    """The content of those files that exist, by name; None is no folder at all."""
    if folder is None:
        return {}
    return {name: read_bytes(folder / name) for name in names if (folder / name).is_file()}
