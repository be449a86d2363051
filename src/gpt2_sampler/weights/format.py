"""What a format of weights is: a subclass of Tensors, registered in checkpoint.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.weights.hparams import HParams
from gpt2_sampler.weights.storage import Floats

Self = TypeVar("Self", bound="Tensors")


class Tensors:
    """The weights of one model, by OpenAI's names.

    kind is the format's name, files those that the weights were read from; checksums says whether
    the format has any. Making one checks names and shapes and raises CheckpointError.
    """

    kind: ClassVar[str]
    checksums: ClassVar[bool] = False
    files: Sequence[Path]
    hparams: HParams

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    @classmethod
    def find(cls, path: Path) -> Path | None:
        """The file or folder of this format that a path means; None where it means none.

        Raises CheckpointError where it could mean several.
        """
        raise NotImplementedError

    @classmethod
    def open(cls: type[Self], path: Path, step: str | None, bases: Iterable[Path]) -> Self:
        """What find answered -> its weights. A format that keeps several steps of a training in
        one folder chooses among them; bases are folders of models that it may have started from.
        """
        if step is not None:
            raise UsageError(
                f"{path} is one model, not a fine-tuning run to choose {step} from",
                change=["checkpoint"],
            )
        return cls(path)

    @classmethod
    def checkpoints(cls, path: Path) -> list[Path]:
        """What find answered -> the paths that lead to each of its steps."""
        return [path]

    def read(self, name: str) -> Floats:
        """A weight in the shape that HParams.variable_shapes says, a matrix as [in, out].

        Its checksum is compared where the format has checksums. A format that stores matrices as
        [out, in] answers a view: nothing is turned in memory.
        """
        raise NotImplementedError

    def digest(self) -> bytes:
        """Changes whenever a weight does."""
        raise NotImplementedError

    def tokenizer(self) -> Tokenizer | None:
        """The vocabulary inside the files of weights, for a format that has it there."""
        return None

    def find_vocabulary(self, bases: Iterable[Path]) -> Path | None:
        """The folder with the vocabulary of a model that has none in its own folder, if the format
        knows of one. bases are folders of other models."""
        return None


def find_file(folder: Path, pattern: str) -> Path | None:
    """The one file in a folder that matches. Raises CheckpointError if several do."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise CheckpointError(f"{folder} has several models, {names}; give one of the files")
    return files[0] if files else None
