"""A model of any kind -> a new folder as OpenAI's or as Hugging Face's, which gives its logits.

Knows folders and files; how either kind stores weights is known elsewhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpt2_sampler.engines.litert.export import discard
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.files import read_bytes, read_object, written
from gpt2_sampler.opening import load_tokenizer, vocabulary_folder
from gpt2_sampler.tokenizer.byte_level import (
    ENCODER_NAME,
    END_OF_TEXT,
    MERGES_NAME,
    Encoder,
    parse_merges,
)
from gpt2_sampler.tokenizer.load import (
    CONFIG_NAMES,
    TOKENIZER_NAME,
    VOCABULARY_FILES,
    VOCABULARY_MERGES_NAME,
    VOCABULARY_NAME,
    Tokenizer,
    has_vocabulary,
    plain_byte_level,
)
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint, save_checkpoint
from gpt2_sampler.weights.huggingface import save_huggingface

KINDS = ("openai", "huggingface")
CLOSE = 1e-4  # of every logit
COMPARED = 32  # tokens
SAME = ("n_vocab", "start_of_text", "end_of_text")


def convert(source: Checkpoint, target: Path, kind: str) -> None:
    """Writes the model to target, which gets its name when it is whole and gives the same logits.

    Raises UsageError where target exists, CheckpointError where the logits differ, OSError.
    """
    require_new(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = vocabulary_folder(source)
    tokenizer = load_tokenizer(source) if has_vocabulary(folder) else None
    with written(target) as new:
        new.mkdir()
        if kind == "openai":
            save_checkpoint(new, source.hparams, source)
            files = openai_files(folder, tokenizer)
        else:
            end = tokenizer.end_of_text if tokenizer else None
            save_huggingface(new, source.hparams, source, end)
            files = huggingface_files(folder, source.hparams.n_ctx)
        for name, content in files.items():
            (new / name).write_bytes(content)
        compare(source, new)
        require_new(target)  # still


def require_new(target: Path) -> None:
    if os.path.lexists(target):
        raise UsageError(f"{target} exists and is never overwritten; choose another name")


def compare(source: Checkpoint, converted: Path) -> None:
    """Reads the same tokens with both. Raises CheckpointError unless every logit agrees."""
    h = source.hparams
    tokens = np.random.default_rng(0).integers(h.n_vocab, size=min(COMPARED, h.n_ctx)).tolist()
    new = open_checkpoint(converted)
    logits = [load_engine(model, "cpu").logits(tokens) for model in (source, new)]
    discard(new)  # its folder is about to have another name
    worst = float(np.abs(logits[0] - logits[1]).max())
    if not worst <= CLOSE:  # also where it is not a number
        raise CheckpointError(
            f"the logits of {source.folder} and of what was made of it differ by {worst:.2g}; "
            "nothing was kept, please report this"
        )


def openai_files(folder: Path, tokenizer: Tokenizer | None) -> dict[str, bytes]:
    """encoder.json and vocab.bpe where these can say it all, else the folder's own files."""
    pair = present(folder, (ENCODER_NAME, MERGES_NAME)) or byte_level_pair(folder)
    if isinstance(tokenizer, Encoder) and pair:
        encoder, merges = pair.values()
        plain = Encoder(json.loads(encoder), parse_merges(merges.decode()))
        if all(getattr(plain, name) == getattr(tokenizer, name) for name in SAME):
            return {ENCODER_NAME: encoder, MERGES_NAME: merges}
    return present(folder, VOCABULARY_FILES)


def byte_level_pair(folder: Path) -> dict[str, bytes]:
    """The vocabulary and the merges of Hugging Face's files."""
    path = folder / TOKENIZER_NAME
    if not path.is_file():
        return present(folder, (VOCABULARY_NAME, VOCABULARY_MERGES_NAME))
    plain = plain_byte_level(read_object(path))
    if plain is None:
        return {}
    merges = "\n".join(["#version: 0.2", *plain[1], ""])
    return {ENCODER_NAME: json.dumps(plain[0]).encode(), MERGES_NAME: merges.encode()}


def huggingface_files(folder: Path, n_ctx: int) -> dict[str, bytes]:
    pair = present(folder, (ENCODER_NAME, MERGES_NAME))
    if not pair:
        return present(folder, VOCABULARY_FILES)
    settings = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    config = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": n_ctx, **settings}
    content = json.dumps(config, indent=2).encode() + b"\n"
    names = (VOCABULARY_NAME, VOCABULARY_MERGES_NAME, CONFIG_NAMES[0])
    return dict(zip(names, (*pair.values(), content), strict=True))


def present(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Those of the files that there are, by name."""
    return {name: read_bytes(folder / name) for name in names if (folder / name).is_file()}
