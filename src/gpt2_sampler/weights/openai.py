"""A path -> the TensorFlow checkpoint meant by it, and the model that a run was trained from.

Knows how OpenAI, nshepperd's train.py and gpt-2-simple lay out their folders; reads no weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.fetching.released import RELEASED
from gpt2_sampler.registry import models_folder
from gpt2_sampler.weights.hparams import FILE_NAME, HParams, load_hparams
from gpt2_sampler.weights.tensor_bundle import Bundle

STATE_FILE = "checkpoint"
LATEST = "latest"
SCOPE = "model/"
INDEX, DATA = ".index", ".data-00000-of-00001"


def find_prefix(path: Path, step: str | None = None) -> Path:
    """A folder, a prefix or one of a checkpoint's files -> the prefix of that step's files.

    Raises UsageError for a step that is not there, CheckpointError where there is none at all.
    """
    if not path.is_dir():
        prefix = path.with_name(path.name.removesuffix(INDEX).removesuffix(DATA))
        if step is not None:
            raise UsageError(f"--checkpoint chooses within a folder; {path} is one checkpoint")
        return prefix
    steps = steps_in(path)
    if step not in (None, LATEST):
        if str(step).isdecimal() and int(str(step)) in steps:
            return steps[int(str(step))]
        there = ", ".join(map(str, sorted(steps))) or "no numbered ones"
        raise UsageError(f"{path} has no checkpoint {step!r}; there are {there}, and {LATEST}")
    named = latest_prefix(path)
    if steps and not (named and named.with_name(named.name + INDEX).exists()):
        return steps[max(steps)]
    if named:
        return named
    if any((path / name).exists() for name in (FILE_NAME, "model.ckpt.index")):
        raise CheckpointError(f"{path / STATE_FILE} is missing; download the model again")
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
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); download it again") from None
    named = re.search(r'^model_checkpoint_path:\s*"([^"]+)"', text, re.MULTILINE)
    if not named:
        raise CheckpointError(f"{path} names no model_checkpoint_path; download it again")
    return folder / re.split(r"[/\\]", named[1])[-1]


def find_base(prefix: Path, bundle: Bundle, models_dir: str | None = None) -> Path | None:
    """The folder of the model that a run started from: one among the models, or in a folder
    "models" near the run, whose hyperparameters fit the run's weights."""
    for folder in candidates(prefix, models_dir):
        try:
            if fits(load_hparams(folder), bundle):
                return folder
        except CheckpointError:
            continue
    return None


def candidates(prefix: Path, models_dir: str | None) -> Iterator[Path]:
    """Those under a released name first: other folders may be runs with vocabularies of their
    own."""
    near = [parent / "models" for parent in prefix.resolve().parents[:4]]
    released = {name for model in RELEASED.values() for name in model.names}
    for models in (models_folder(models_dir), *near):
        folders = [path.parent for path in sorted(models.glob(f"*/{FILE_NAME}"))]
        yield from sorted(folders, key=lambda folder: folder.name not in released)


def fits(hparams: HParams, bundle: Bundle) -> bool:
    shapes = hparams.variable_shapes()
    layers = {n.split("/")[1] for n in bundle.entries if re.match(rf"{SCOPE}h\d+/attn/", n)}
    return len(layers) == hparams.n_layer and all(
        SCOPE + name in bundle.entries and bundle.entries[SCOPE + name].shape == shape
        for name, shape in shapes.items()
    )
