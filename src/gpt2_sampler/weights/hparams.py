"""hparams.json -> the numbers and choices that fix a GPT-2's mathematics. Knows no weights.

Axis letters, here and in every other module:
V n_vocab, C n_ctx, E n_embd, H n_head, L n_layer, K = E / H;
B rows, T tokens of a row that this call reads, S slots of the cache that they may attend to.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gpt2_sampler.errors import CheckpointError, brief
from gpt2_sampler.files import read_object
from gpt2_sampler.weights.storage import Stored

MOST = {
    "n_vocab": 1 << 24, "n_ctx": 1 << 24, "n_embd": 1 << 20, "n_head": 1 << 20,
    "n_layer": 10_000, "n_inner": 1 << 22,
}  # fmt: skip
"""More than any model has: what is damaged or hostile is refused before it takes memory."""
FILE_NAME = "hparams.json"
ACTIVATIONS = ("gelu_new", "gelu", "quick_gelu", "relu", "silu", "tanh")
SWITCHES = ("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "tie_word_embeddings")


@dataclasses.dataclass(frozen=True)
class HParams:
    """A GPT-2's shape and mathematics. Letters: V, C, E, H, L.

    The fields with a default have Hugging Face's names; OpenAI's files lack them, as all that
    OpenAI trained has the defaults. n_inner is 4 E where None; without tie_word_embeddings the
    logits have a matrix of their own, "lm_head", in place of "wte".
    Raises CheckpointError for what no GPT-2 has.
    """

    n_vocab: int
    n_ctx: int
    n_embd: int
    n_head: int
    n_layer: int
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        for name in ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer", "n_inner"):
            value = getattr(self, name)
            if (type(value) is not int or value < 1) and not (name == "n_inner" and value is None):
                raise CheckpointError(f"{name} must be a whole number above 0, not {brief(value)}")
            if value is not None and value > MOST[name]:
                raise CheckpointError(f"{name} must be at most {MOST[name]}, not {brief(value)}")
        if self.n_embd % self.n_head:
            raise CheckpointError(
                f"n_embd must be a multiple of n_head, not {self.n_embd} for {self.n_head} heads"
            )
        if self.activation_function not in ACTIVATIONS:
            raise CheckpointError(
                f"activation_function must be one of {', '.join(ACTIVATIONS)}, "
                f"not {brief(self.activation_function)}"
            )
        epsilon = self.layer_norm_epsilon
        if type(epsilon) not in (int, float) or not 0 < epsilon < 1:
            raise CheckpointError(
                f"layer_norm_epsilon must be a number between 0 and 1, not {brief(epsilon)}"
            )
        for name in SWITCHES:
            if type(getattr(self, name)) is not bool:
                raise CheckpointError(
                    f"{name} must be true or false, not {brief(getattr(self, name))}"
                )

    @property
    def head_size(self) -> int:
        """K = E / H."""
        return self.n_embd // self.n_head

    @property
    def inner_size(self) -> int:
        """Numbers in the middle of a layer's perceptron."""
        return self.n_inner or 4 * self.n_embd

    @property
    def n_parameters(self) -> int:
        """Numbers in all weights."""
        return sum(map(math.prod, self.variable_shapes().values()))

    @property
    def unembedding(self) -> str:
        """The name of the matrix [V, E] that makes logits."""
        return "wte" if self.tie_word_embeddings else "lm_head"

    def attention_scale(self, layer: int) -> float:
        """What the scores of a layer are multiplied by."""
        scale = 1 / math.sqrt(self.head_size) if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale

    def variable_shapes(self) -> dict[str, tuple[int, ...]]:
        """OpenAI's name of every weight, without the leading "model/" -> its shape.

        Matrices are [in, out]; OpenAI's files have a leading 1, the width of a convolution.
        """
        e, inner = self.n_embd, self.inner_size

        def norm(name: str) -> dict[str, tuple[int, ...]]:
            return {f"{name}/g": (e,), f"{name}/b": (e,)}

        def dense(name: str, n_in: int, n_out: int) -> dict[str, tuple[int, ...]]:
            return {f"{name}/w": (n_in, n_out), f"{name}/b": (n_out,)}

        shapes: dict[str, tuple[int, ...]] = {"wte": (self.n_vocab, e), "wpe": (self.n_ctx, e)}
        for layer in range(self.n_layer):
            h = f"h{layer}"
            shapes |= norm(f"{h}/ln_1")
            shapes |= dense(f"{h}/attn/c_attn", e, 3 * e)
            shapes |= dense(f"{h}/attn/c_proj", e, e)
            shapes |= norm(f"{h}/ln_2")
            shapes |= dense(f"{h}/mlp/c_fc", e, inner)
            shapes |= dense(f"{h}/mlp/c_proj", inner, e)
        shapes |= norm("ln_f")
        return shapes | {self.unembedding: (self.n_vocab, e)}

    def save(self, folder: Path) -> None:
        """Writes what OpenAI writes, and beyond it only what differs from OpenAI's choices."""
        fields = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }
        (folder / FILE_NAME).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def load_hparams(folder: Path) -> HParams:
    """Reads FOLDER/hparams.json. Raises CheckpointError that names the file."""
    path = folder / FILE_NAME
    return hparams_from(path, read_object(path))


def hparams_from(
    path: Path, given: Mapping[str, Any], names: Mapping[str, str] = MappingProxyType({})
) -> HParams:
    """The hyperparameters among what a file says. names are those that it calls otherwise.

    Raises CheckpointError that names the file.
    """
    fields = {}
    for field in dataclasses.fields(HParams):
        name = names.get(field.name, field.name)
        if name in given:
            fields[field.name] = given[name]
        elif field.default is dataclasses.MISSING:
            raise CheckpointError(f"{path} has no {name}", file=path)
    try:
        hparams = HParams(**fields)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}", file=path) from None
    usual = hparams.n_inner == 4 * hparams.n_embd
    return dataclasses.replace(hparams, n_inner=None) if usual else hparams


def require_shapes(
    path: Path,
    found: Mapping[str, Stored],
    wanted: Mapping[str, tuple[int, ...]],
    dtypes: Sequence[str],
    settings: str,
) -> None:
    """Raises CheckpointError unless found holds each wanted tensor, by the name under which it is
    stored, with its shape and one of dtypes. settings is what calls for them."""
    for name, shape in wanted.items():
        if name not in found:
            raise CheckpointError(f"{path} has no {name}, which {settings} calls for")
        tensor = found[name]
        if tensor.shape != shape or tensor.dtype not in dtypes:
            raise CheckpointError(
                f"{path}: {name} is {tensor.dtype} {list(tensor.shape)}, {settings} calls for "
                f"{' or '.join(dtypes)} {list(shape)}"
            )


def require_room(path: Path, files: Iterable[Path], tensors: Iterable[Stored]) -> None:
    """Raises CheckpointError if the tensors have more bytes than the files: then several lie in
    one place, and reading them could take any time, however small the files are."""
    needed = sum(tensor.n_bytes for tensor in tensors)
    there = sum(file.stat().st_size for file in files)
    if needed > there:
        raise CheckpointError(
            f"{path} is damaged: its weights would have {needed:,} bytes, and it has {there:,}"
        )
