"""A model's name -> what OpenAI released under it: files, sizes, checksums. Facts only.

Knows neither the network nor the disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from gpt2_sampler.fetching.filespec import FileSpec, Version

BASE_URL = "https://openaipublic.blob.core.windows.net/gpt-2/models"
DEFAULT = "117M"
DATA_FILE = "model.ckpt.data-00000-of-00001"
INDEX_FILE = "model.ckpt.index"
META_FILE = "model.ckpt.meta"  # the training graph, which sampling does not need

VOCABULARY = (
    FileSpec(
        "encoder.json",
        (Version(1042301, "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"),),
    ),
    FileSpec(
        "vocab.bpe",
        (Version(456318, "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"),),
    ),
)
"""The same two files in every size."""


@dataclasses.dataclass(frozen=True)
class Released:
    """A released model; the name OpenAI's server has for it is the last of names."""

    names: tuple[str, ...]
    parameters: int
    files: tuple[FileSpec, ...]

    @property
    def download_size(self) -> int:
        """Bytes of the files whose size is known: all but a few kilobytes."""
        return sum(file.versions[0].size for file in self.files if file.versions)

    @property
    def memory_size(self) -> int:
        """Bytes needed to sample in float32: the weights as stored and as packed, and the rest."""
        return 2 * 4 * self.parameters + (300 << 20)


def unhashed(parameters: int) -> tuple[FileSpec, ...]:
    """Files of a size whose checksums nobody published; the data file is 4 bytes a parameter."""
    return (
        FileSpec("checkpoint"),
        FileSpec("hparams.json"),
        *VOCABULARY,
        FileSpec(INDEX_FILE),
        FileSpec(META_FILE, optional=True),
        FileSpec(DATA_FILE, (Version(4 * parameters),)),
    )


FILES_117M = (
    FileSpec(
        "checkpoint",
        (Version(77, "dd1b025d2e155283f5e300ce95bf6d5b6bc0f7fe010db73daa6975eb896ab9cb"),),
    ),
    FileSpec(
        "hparams.json",
        (
            Version(90, "d9d56e4121c427164e0c55c6f03c08e1daf9002b9b672825112d19097b680318"),
            Version(89, "097db6ed93a3d9b8a32532fca9e564c703bed00c73908ecc49d1b05db2199606"),
        ),
    ),
    *VOCABULARY,
    FileSpec(
        INDEX_FILE,
        (Version(5215, "71916f763f9746f9b2a06b12d91996cf1084ae008d0424543d39391c5f2dc687"),),
    ),
    FileSpec(
        META_FILE,
        (Version(471155, "4668c448fa11531fd6700460487f73e82d3272960cea942252f8744bf225c77b"),),
        optional=True,
    ),
    FileSpec(
        DATA_FILE,
        (Version(497759232, "2060c885360cc0cf41d7a6dbc4d24b5127aae20260c8b5ae521b5a6578407118"),),
    ),
)

RELEASED: Mapping[str, Released] = {
    model.names[0]: model
    for model in (
        Released(("117M", "124M"), 124_439_808, FILES_117M),
        Released(("345M", "355M"), 354_823_168, unhashed(354_823_168)),
        Released(("774M",), 774_030_080, unhashed(774_030_080)),
        Released(("1558M",), 1_557_611_200, unhashed(1_557_611_200)),
    )
}
"""By the main name, the first of names."""


def canonical(name: str) -> str | None:
    """The main name of a released model ("124m" -> "117M"), None for any other name."""
    for main, model in RELEASED.items():
        if name.upper() in model.names:
            return main
    return None


def aliases(name: str) -> tuple[str, ...]:
    """Every name of the same weights, the main one first; the name alone if not released."""
    main = canonical(name)
    return RELEASED[main].names if main else (name,)
