"""hparams.json -> the five numbers that fix a GPT-2's shape. Knows no weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from gpt2_sampler.errors import CheckpointError

FILE_NAME = "hparams.json"


@dataclasses.dataclass(frozen=True)
class HParams:
    """A GPT-2's shape. Letters as in model.py: V, C, E, H, L.

    Raises CheckpointError for a number that no GPT-2 has.
    """

    n_vocab: int
    n_ctx: int
    n_embd: int
    n_head: int
    n_layer: int

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if type(value) is not int or value < 1:
                raise CheckpointError(f"{name} must be a whole number above 0, not {value!r}")
        if self.n_embd % self.n_head:
            raise CheckpointError(
                f"n_embd must be a multiple of n_head, not {self.n_embd} for {self.n_head} heads"
            )

    @property
    def head_size(self) -> int:
        """K = E / H."""
        return self.n_embd // self.n_head

    def variable_shapes(self) -> dict[str, tuple[int, ...]]:
        """OpenAI's name of every weight, without the leading "model/" -> its shape."""
        e = self.n_embd

        def norm(name: str) -> dict[str, tuple[int, ...]]:
            return {f"{name}/g": (e,), f"{name}/b": (e,)}

        def dense(name: str, n_in: int, n_out: int) -> dict[str, tuple[int, ...]]:
            return {f"{name}/w": (1, n_in, n_out), f"{name}/b": (n_out,)}

        shapes: dict[str, tuple[int, ...]] = {"wte": (self.n_vocab, e), "wpe": (self.n_ctx, e)}
        for layer in range(self.n_layer):
            h = f"h{layer}"
            shapes |= norm(f"{h}/ln_1")
            shapes |= dense(f"{h}/attn/c_attn", e, 3 * e)
            shapes |= dense(f"{h}/attn/c_proj", e, e)
            shapes |= norm(f"{h}/ln_2")
            shapes |= dense(f"{h}/mlp/c_fc", e, 4 * e)
            shapes |= dense(f"{h}/mlp/c_proj", 4 * e, e)
        return shapes | norm("ln_f")

    def save(self, folder: Path) -> None:
        text = json.dumps(dataclasses.asdict(self), indent=2)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")


def load_hparams(folder: Path) -> HParams:
    """Reads FOLDER/hparams.json. Raises CheckpointError that names the file."""
    path = folder / FILE_NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        names = [field.name for field in dataclasses.fields(HParams)]
        return HParams(**{name: fields[name] for name in names})
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; download the model again") from None
    except KeyError as error:
        raise CheckpointError(f"{path} has no {error.args[0]}; download the model again") from None
    except (OSError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); download it again") from None
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
