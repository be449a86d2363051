"""A path -> the TensorFlow checkpoint meant by it, and the model that it was trained from.

Knows how OpenAI, nshepperd's train.py and gpt-2-simple lay out their folders; reads no weights
and does not know where models are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.files import read_text
from gpt2_sampler.weights.hparams import FILE_NAME, HParams, load_hparams
from gpt2_sampler.weights.tensor_bundle import DATA, INDEX, Bundle

PREFIX = "model.ckpt"
STATE_FILE = "checkpoint"
LATEST = "latest"
SCOPE = "model/"
DIGITS = 20  # of a step's number, at most


def find_prefix(path: Path, step: str | None = None) -> Path:
    """A folder, a prefix or one of a checkpoint's files -> the prefix of that step's files.

    Raises UsageError for a step that is not there, CheckpointError where there is none at all.
    """
    if not path.is_dir():
        if step is not None:
            raise UsageError(
                f"{path} is one checkpoint, not a folder to choose {step} from",
                change=["checkpoint"],
            )
        return path.with_name(path.name.removesuffix(INDEX).removesuffix(DATA))
    steps = steps_in(path)
    if step not in (None, LATEST):
        number = str(step) if str(step).isdecimal() and len(str(step)) <= DIGITS else ""
        if number and int(number) in steps:
            return steps[int(number)]
        there = ", ".join(map(str, sorted(steps))) or "no numbered ones"
        raise UsageError(f"{path} has no checkpoint {step!r:.40}; there are {there}, and {LATEST}")
    named = latest_prefix(path)
    if steps and not (named and named.with_name(named.name + INDEX).exists()):
        return steps[max(steps)]
    if named:
        return named
    if any((path / name).exists() for name in (FILE_NAME, f"{PREFIX}{INDEX}")):
        state = path / STATE_FILE
        raise CheckpointError(f"{state} is missing, which names the checkpoint to open", file=state)
    raise CheckpointError(
        f"{path} holds no model: neither OpenAI's (checkpoint, {FILE_NAME}, ...) nor Hugging "
        "Face's (config.json, ...)"
    )


def steps_in(folder: Path) -> dict[int, Path]:
    """The number at the end of a checkpoint's name -> its prefix."""
    prefixes = [path.with_suffix("") for path in folder.glob(f"*-*{INDEX}")]
    numbered = [(re.search(r"-(\d+)$", prefix.name), prefix) for prefix in prefixes]
    return {int(match[1]): prefix for match, prefix in numbered if match}


def latest_prefix(folder: Path) -> Path | None:
    """The prefix that FOLDER/checkpoint names, whatever folder it was on another machine."""
    path = folder / STATE_FILE
    if not path.exists():
        return None
    named = re.search(
        r'^model_checkpoint_path:\s*"([^"\x00-\x1f]+)"', read_text(path), re.MULTILINE
    )
    if not named:
        raise CheckpointError(f"{path} names no model_checkpoint_path", file=path)
    return folder / re.split(r"[/\\]", named[1])[-1]


def find_base(bundle: Bundle, bases: Iterable[Path]) -> Path | None:
    """The first of the folders whose hyperparameters fit the weights."""
    for folder in bases:
        try:
            if fits(load_hparams(folder), bundle):
                return folder
        except CheckpointError:
            continue
    return None


def fits(hparams: HParams, bundle: Bundle) -> bool:
    shapes = hparams.variable_shapes()
    layers = {n.split("/")[1] for n in bundle.entries if re.match(rf"{SCOPE}h\d+/attn/", n)}
    return len(layers) == hparams.n_layer and all(
        SCOPE + name in bundle.entries and bundle.entries[SCOPE + name].shape == shape
        for name, shape in shapes.items()
    )
