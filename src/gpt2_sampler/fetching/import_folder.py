"""A list of files, and a folder on this machine that has them -> one complete folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpt2_sampler.errors import DownloadError
from gpt2_sampler.fetching import partfile
from gpt2_sampler.fetching.fetch_file import Check
from gpt2_sampler.fetching.fetch_folder import Watch, fault, find_lacking, only_run, require_space
from gpt2_sampler.fetching.filespec import CHUNK, FileSpec, problem
from gpt2_sampler.fetching.trouble import DiskError
from gpt2_sampler.writing import writing


def import_folder(
    folder: Path,
    files: Sequence[FileSpec],
    origin: Path,
    checks: Mapping[str, Check],
    watch: Watch,
) -> None:
    """Copies what the folder lacks from another folder. Raises DownloadError, or OSError."""
    with only_run(folder, watch):
        wanted = find_lacking(folder, files, checks)
        for spec in wanted:  # remains of a download, or of an import that was killed
            partfile.discard(folder / spec.name)
        found = {spec: problem(origin / spec.name, spec, contents=False) for spec in wanted}
        good = [spec for spec, wrong in found.items() if wrong is None]
        if good:
            folder.mkdir(exist_ok=True)
            require_space(folder, sum((origin / spec.name).stat().st_size for spec in good))
        for spec in good:
            found[spec] = import_file(origin / spec.name, folder / spec.name, spec, checks)
    bad = [f"{origin / spec.name}: {wrong}" for spec, wrong in found.items() if spec.matters(wrong)]
    if bad:
        raise DownloadError(f"not everything could be imported: {'; '.join(bad)}")


def import_file(
    origin: Path, target: Path, spec: FileSpec, checks: Mapping[str, Check]
) -> str | None:
    """Copies a file -> what is wrong with it, None if nothing."""
    part, _ = partfile.names(target)
    try:
        with origin.open("rb") as source, writing(target, DiskError), part.open("xb") as copy:
            shutil.copyfileobj(source, copy, CHUNK)
        wrong = fault(part, spec, checks)
        if wrong is None:
            partfile.finish(target)
        return wrong
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    finally:
        partfile.discard(target)
