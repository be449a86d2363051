"""A released model's name -> its files, with their sizes and checksums. Facts only.

Knows neither the network nor the disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpt2_sampler.fetching.filespec import FileSpec, Version
from gpt2_sampler.registry import RELEASED, canonical
from gpt2_sampler.tokenizer.byte_level import ENCODER_NAME, MERGES_NAME
from gpt2_sampler.weights.hparams import FILE_NAME, HParams
from gpt2_sampler.weights.openai import PREFIX, STATE_FILE
from gpt2_sampler.weights.tensor_bundle import DATA, INDEX

BASE_URL = "https://openaipublic.blob.core.windows.net/gpt-2/models"
DATA_FILE, INDEX_FILE = PREFIX + DATA, PREFIX + INDEX
META_FILE = f"{PREFIX}.meta"  # the training graph, which sampling does not need

VOCABULARY = (
    FileSpec(
        ENCODER_NAME,
        (Version(1042301, "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"),),
    ),
    FileSpec(
        MERGES_NAME,
        (Version(456318, "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"),),
    ),
)
"""The same two files in every size."""

FILES_117M = (
    FileSpec(
        STATE_FILE,
        (Version(77, "dd1b025d2e155283f5e300ce95bf6d5b6bc0f7fe010db73daa6975eb896ab9cb"),),
    ),
    FileSpec(
        FILE_NAME,
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


def files_without_checksums(name: str) -> tuple[FileSpec, ...]:
    """Files whose checksums nobody has published; the data file has 4 bytes for each parameter."""
    size = 4 * HParams(**RELEASED[name].shape).n_parameters
    return (
        FileSpec(STATE_FILE),
        FileSpec(FILE_NAME),
        *VOCABULARY,
        FileSpec(INDEX_FILE),
        FileSpec(META_FILE, optional=True),
        FileSpec(DATA_FILE, (Version(size),)),
    )


FILES: dict[str, tuple[FileSpec, ...]] = {
    name: FILES_117M if name == "117M" else files_without_checksums(name) for name in RELEASED
}
"""By the main name of a model."""

OTHER_FILES = tuple(
    FileSpec(spec.name, optional=spec.optional, large=spec.name == DATA_FILE) for spec in FILES_117M
)
"""The files of a model that OpenAI did not release: the same names, with unknown contents."""


def files_of(name: str) -> Sequence[FileSpec]:
    main = canonical(name)
    return FILES[main] if main else OTHER_FILES


def download_size(name: str) -> int:
    """The bytes of a model's files whose size is known, which are all but a few kilobytes."""
    return sum(file.versions[0].size for file in files_of(name) if file.versions)
