"""A checkpoint of nanoGPT's training (ckpt.pt) -> a GPT-2's weights by OpenAI's names.

Knows what nanoGPT saves (github.com/karpathy/nanoGPT, train.py and model.py): model_args, weights
by names that are nearly Hugging Face's but with Linear's matrices, and beside them an optimizer,
of which nothing is read; and where it keeps the characters that a model was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer.byte_level import ENCODER_NAME, MERGES_NAME, load_encoder
from gpt2_sampler.tokenizer.characters import FILE_NAME as META_NAME
from gpt2_sampler.tokenizer.characters import load_characters
from gpt2_sampler.weights.format import find_file
from gpt2_sampler.weights.hparams import hparams_from
from gpt2_sampler.weights.named import NamedTensors
from gpt2_sampler.weights.pytorch import Tensor, read_pytorch

FILE_NAME = "ckpt.pt"
WRAPPED = re.compile(r"(_orig_mod\.|module\.)*")
"""How names begin that torch.compile and DistributedDataParallel have changed."""
PREFIX = "transformer."
NAME = re.compile(r"\w[\w.-]*")
"""What a dataset may be called: its name becomes part of a path."""
THEIR_NAMES = {"n_vocab": "vocab_size", "n_ctx": "block_size"}
ARGUMENTS = ("vocab_size", "block_size", "n_embd", "n_head", "n_layer")
"""What is read of model_args."""
GPT2_TOKENS = 50257


class NanoGPTTensors(NamedTensors):
    """dataset is the name of what it was trained on, None where that is not said.

    Raises CheckpointError for a file that nanoGPT did not write.
    """

    kind, out_first = "nanogpt", True

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
        arguments, model = saved["model_args"], saved["model"]
        if not isinstance(arguments, dict) or not isinstance(model, dict):
            raise CheckpointError(f"{path}: model or model_args is not what nanoGPT saves")
        given: dict[str, Any] = {n: arguments[n] for n in ARGUMENTS if n in arguments}
        given["activation_function"] = "gelu"  # today's nanoGPT has the exact one
        super().__init__(
            path, "model_args", hparams_from(path, given, THEIR_NAMES), name_tensors(model)
        )

    @classmethod
    def find(cls, path: Path) -> Path | None:
        if path.is_dir():
            return find_file(path, FILE_NAME)
        return path if path.suffix == ".pt" and path.is_file() else None

    def find_vocabulary(self, bases: Iterable[Path]) -> Path:
        """The folder of the dataset, which nanoGPT keeps as data/DATASET beside its runs; else the
        first base with GPT-2's vocabulary, if it has that size. Raises CheckpointError."""
        [path], size = self.files, self.hparams.n_vocab
        folder = path.resolve().parent
        for place in (folder, *folder.parents[:3]):
            for file in sorted(place.glob(f"data/{self.dataset or '*'}/{META_NAME}")):
                n_vocab = load_characters(file).n_vocab
                if n_vocab == size or (self.dataset and n_vocab < size):
                    return file.parent
        if size < GPT2_TOKENS:
            raise CheckpointError(
                f"{path} has {size} tokens, and no {META_NAME} that says which; copy that of "
                f"data/{self.dataset or 'DATASET'} into {folder}"
            )
        for base in bases:
            files = (base / ENCODER_NAME, base / MERGES_NAME)
            if all(map(Path.is_file, files)) and load_encoder(base).n_vocab == GPT2_TOKENS:
                return base
        raise CheckpointError(
            f"{path} was trained with GPT-2's vocabulary, which no model here has; "
            f"copy {ENCODER_NAME} and {MERGES_NAME} of one into {folder}"
        )


def name_tensors(saved: Mapping[object, object]) -> dict[str, Tensor]:
    return {
        WRAPPED.sub("", str(name), count=1).removeprefix(PREFIX): tensor
        for name, tensor in saved.items()
        if isinstance(tensor, Tensor)
    }
