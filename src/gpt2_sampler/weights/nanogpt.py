"""A checkpoint of nanoGPT's training (ckpt.pt) -> a GPT-2's weights by OpenAI's names.

Knows what nanoGPT saves (github.com/karpathy/nanoGPT, train.py and model.py): model_args, weights
by names that are nearly Hugging Face's but with Linear's matrices, and beside them an optimizer,
of which nothing is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.hparams import HParams
from gpt2_sampler.weights.named import NamedTensors
from gpt2_sampler.weights.pytorch import Tensor, read_pytorch

FILE_NAME = "ckpt.pt"
WRAPPED = re.compile(r"(_orig_mod\.|module\.)*")
"""How names begin that torch.compile and DistributedDataParallel have changed."""
PREFIX = "transformer."
NAME = re.compile(r"\w[\w.-]*")
"""Of a dataset: it becomes part of a path."""
THEIR_NAMES = {"n_vocab": "vocab_size", "n_ctx": "block_size"}
FIELDS = ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer")


class NanoGPTTensors(NamedTensors):
    """dataset is the name of what it was trained on, None where that is not said.

    Raises CheckpointError for a file that nanoGPT did not write.
    """

    kind = "nanogpt"

    def __init__(self, path: Path) -> None:
        self.files = [path]
        saved = read_pytorch(path)
        if not isinstance(saved, dict) or not {"model", "model_args"} <= saved.keys():
            raise CheckpointError(
                f"{path} has no model and model_args, as nanoGPT saves them, and no config.json "
                "lies beside it; of a PyTorch model the folder is needed"
            )
        config = saved.get("config")
        dataset = config.get("dataset") if isinstance(config, dict) else None
        named = isinstance(dataset, str) and NAME.fullmatch(dataset)
        self.dataset: str | None = dataset if named else None
        found = weights(path, saved["model"])
        super().__init__(path, "model_args", shape(path, saved["model_args"]), found, True)


def weights(path: Path, saved: Any) -> Mapping[str, Tensor]:
    if not isinstance(saved, dict):
        raise CheckpointError(f"{path}: model holds no weights")
    return {
        WRAPPED.sub("", str(name), count=1).removeprefix(PREFIX): tensor
        for name, tensor in saved.items()
        if isinstance(tensor, Tensor)
    }


def shape(path: Path, arguments: Any) -> HParams:
    """model_args -> what fixes the mathematics: today's nanoGPT has the exact GELU."""
    fields: dict[str, Any] = {}
    for name in FIELDS:
        theirs = THEIR_NAMES.get(name, name)
        value = arguments.get(theirs) if isinstance(arguments, dict) else None
        if type(value) is not int:
            raise CheckpointError(f"{path}: model_args has no number as {theirs}")
        fields[name] = value
    try:
        return HParams(**fields, activation_function="gelu")
    except CheckpointError as error:
        raise CheckpointError(f"{path}: model_args: {error}") from None
