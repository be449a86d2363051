"""Every reader gets mutated files, and answers with a model or with one line.

    PYTHONPATH=src python3 -m tests.long.fuzzing 2000      # inputs for each file, some minutes
    PYTHONPATH=src python3 -m tests.long.fuzzing 2000 gguf --seed 1      # other ones

A mutation changes, cuts, repeats or removes bytes in one section of a file, of which there are
sixteen; in JSON it sometimes puts another value in place of one. Half of the files of weights get
another structure instead, with right lengths and checksums. All is drawn from a seed.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpt2_sampler import load_tokenizer
from gpt2_sampler.errors import SamplerError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.hparams import HParams
from tests.checkpoints import DATA, byte_vocabulary, random_checkpoint, random_weights
from tests.gguf_files import write_gguf
from tests.long.structures import CHANGES

SMALL = HParams(n_vocab=263, n_ctx=5, n_embd=32, n_head=4, n_layer=1)
SECTIONS = 16
TEXT, CHARACTERS = "Hello <|endoftext|>[CLS] 天\n", "tell\n"
"""What is encoded, and what a model of characters knows of it."""
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 0.5, 10**9, 2**70, 1e300, float("nan"), float("inf")),
    *("", "x", "\0", "\ud800", "x" * 10**6, [], [1], [[]] * 10**5, {}, {"content": "x"}),
)  # JSON in Python also has what is no number
SLOW = 20.0  # seconds that no file may take
MEMORY = 6 << 30  # bytes of addresses in the long run; libraries take two thirds of them


def copied(*parts: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copytree(DATA.joinpath(*parts), folder)


def with_vocabulary(*parts: str) -> Callable[[Path], object]:
    return lambda folder: byte_vocabulary(shutil.copytree(DATA.joinpath(*parts), folder))


def openai(folder: Path) -> None:
    byte_vocabulary(random_checkpoint(folder, SMALL))


def gguf(folder: Path) -> None:
    folder.mkdir()
    (folder / "source").mkdir()
    tokens = list(json.loads((byte_vocabulary(folder / "source") / "encoder.json").read_text()))
    write_gguf(folder / "x.gguf", SMALL, random_weights(SMALL), "Q8_0", tokens, ["t h"])
    shutil.rmtree(folder / "source")


def nanogpt(folder: Path) -> None:
    shutil.copytree(DATA / "formats" / "out-characters", folder)
    shutil.copy(DATA / "formats" / "data" / "shakespeare_char" / "meta.pkl", folder)


def rules(folder: Path) -> None:
    """A tokenizer.json with rules of every kind, so that each is mutated."""
    shutil.copytree(DATA / "published" / "kogpt2", folder)
    path = folder / "tokenizer.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    text = {"Sequence": {"id": "A", "type_id": 0}}
    old = {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}
    digits = {"type": "Split", "pattern": {"Regex": " ?[0-9]+"}, "behavior": "Isolated"}
    saved |= {
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFKC"}, old, {"type": "Replace", "pattern": {"Regex": " {2,}"},
             "content": " "}, {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "Prepend", "prepend": " "},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            digits | {"invert": False}, {"type": "Punctuation", "behavior": "Isolated"},
            {"type": "Digits", "individual_digits": True}, saved["pre_tokenizer"],
            {"type": "FixedLength", "length": 5},
        ]},
        "decoder": {"type": "Sequence", "decoders": [
            old, {"type": "ByteFallback"}, {"type": "BPEDecoder", "suffix": "</w>"},
            {"type": "WordPiece", "prefix": "##", "cleanup": True}, saved["decoder"],
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}, {"type": "Fuse"},
        ]},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, text], "pair": [text],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
    }  # fmt: skip
    path.write_text(json.dumps(saved), encoding="utf-8")


MODELS: Mapping[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "openai": (openai, ("model.ckpt.index", "model.ckpt.data-00000-of-00001", "hparams.json",
                        "checkpoint", "encoder.json", "vocab.bpe")),
    "huggingface": (copied("published", "german"), ("model.safetensors", "config.json",
                    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")),
    "pair": (copied("published", "persona"), ("vocab.json", "merges.txt", "added_tokens.json")),
    "bert": (copied("published", "uer"), ("vocab.txt", "tokenizer_config.json", "config.json")),
    "library": (copied("published", "kogpt2"), ("tokenizer.json",)),
    "rules": (rules, ("tokenizer.json",)),
    "dialogpt": (copied("published", "dialogpt"), ("generation_config.json",)),
    "shards": (with_vocabulary("huggingface", "silu"), ("model.safetensors.index.json",)),
    "pytorch": (with_vocabulary("formats", "whole"), ("pytorch_model.bin",)),
    "legacy": (with_vocabulary("formats", "legacy"), ("pytorch_model.bin",)),
    "hdf5": (with_vocabulary("formats", "tensorflow"), ("tf_model.h5",)),
    "nanogpt": (nanogpt, ("ckpt.pt", "meta.pkl")),
    "gguf": (gguf, ("x.gguf",)),
}  # fmt: skip
"""A kind of model -> what makes it, and its files."""


def mutated(content: bytes, name: str, draw: random.Random) -> bytes:
    structured = CHANGES.get(Path(name).suffix)
    if structured and draw.random() < 0.5:
        return structured(content, draw)
    if name.endswith(".json") and draw.random() < 0.5:
        return json.dumps(changed(json.loads(content), draw)).encode()
    size = max(1, len(content) // SECTIONS)
    at = draw.randrange(SECTIONS) * size + draw.randrange(size)
    length = draw.choice((1, 1, 2, 4, 8, draw.randrange(1, size + 1)))
    new = draw.choice((
        lambda: draw.randbytes(length),
        lambda: b"\xff" * length,
        lambda: b"\0" * length,
        lambda: b"",
        lambda: content[at : at + length] * 2,
        lambda: bytes([content[at % len(content)] ^ 1 << draw.randrange(8)]),
    ))()  # fmt: skip
    if draw.random() < 0.1:
        return content[:at]
    return content[:at] + new + content[at + length :]


def changed(value: Any, draw: random.Random) -> Any:
    """The same JSON with another value somewhere, or without one."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value)[:200])
        if draw.random() < 0.2:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: changed(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.8:
        at = draw.randrange(len(value))
        return [*value[:at], changed(value[at], draw), *value[at + 1 :]]
    return draw.choice(VALUES)


def opened(folder: Path, text: str) -> str:
    """What became of it: all weights and a text's tokens, or one line. Raises AssertionError."""
    outcome = "a model"
    for read in (read_weights, functools.partial(read_text, text=text)):
        try:
            read(folder)
        except SamplerError as error:
            outcome = "a line"
            assert "\n" not in str(error), str(error)
            assert len(str(error)) < 2000, str(error)
    return outcome


def read_weights(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    for name in checkpoint:
        checkpoint[name]
    checkpoint.fingerprint  # noqa: B018


def read_text(folder: Path, text: str) -> None:
    tokenizer = load_tokenizer(folder)
    ids = tokenizer.encode(text)
    tokenizer.decode(ids)
    tokenizer.encode(text, special_tokens=False)


def fuzz(kind: str, count: int, seed: int = 0) -> dict[str, int]:
    """count inputs for each of the kind's files -> how many gave a model, how many a line."""
    make, names = MODELS[kind]
    text = CHARACTERS if kind == "nanogpt" else TEXT
    outcomes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as temporary:
        good, work = Path(temporary) / "good", Path(temporary) / "work"
        make(good)
        assert opened(good, text) == "a model"
        for name in names:
            content = (good / name).read_bytes()
            for number in range(count):
                draw = random.Random(f"{kind} {name} {seed} {number}")
                shutil.rmtree(work, ignore_errors=True)
                shutil.copytree(good, work)
                (work / name).write_bytes(mutated(content, name, draw))
                began = time.monotonic()
                try:
                    outcome = opened(work, text)
                except BaseException as error:  # Rust's panics are no Exceptions
                    raise AssertionError(f"{kind}: {name}, input {number}: {error!r}") from error
                assert time.monotonic() - began < SLOW, (kind, name, number)
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutated files for every reader.")
    parser.add_argument("count", type=int, help="inputs for each file")
    parser.add_argument("kinds", nargs="*", help="of models, by default all")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    chosen = parser.parse_args()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for kind in chosen.kinds or MODELS:
        began = time.monotonic()
        outcomes = fuzz(kind, chosen.count, chosen.seed)
        print(kind, outcomes, f"{time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
