"""attention.c elsewhere: on ARM, with SDOT and without, and where an overflow is told."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import pytest

from gpt2_sampler.engines import litert

OVERFLOW = "signed-integer-overflow,shift,float-cast-overflow"
KINDS = {
    "overflow": (["gcc", "-O1", f"-fsanitize={OVERFLOW}", "-fno-sanitize-recover=all"], []),
    "arm": (["aarch64-linux-gnu-gcc", "-O2", "-static"], ["qemu-aarch64", "-cpu", "cortex-a57"]),
    "arm with sdot": (["aarch64-linux-gnu-gcc", "-O2", "-static"], ["qemu-aarch64", "-cpu", "max"]),
}
VERSIONS = {"arm": ["neon"], "arm with sdot": ["neon", "sdot"]}


@functools.cache
def compiled(folder: Path, *compiler: str) -> Path:
    program = folder / f"check-{compiler[0]}"
    source = Path(*litert.__path__)
    check = Path(__file__).parent / "check_attention.c"
    options = ["-std=gnu11", f"-I{source}", "-pthread", "-o", str(program), str(check), "-lm"]
    subprocess.run([*compiler, *options], check=True)
    return program


@pytest.mark.parametrize("kind", KINDS)
def test_heads_of_all_sizes_are_attended_rightly(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compiler, runner = KINDS[kind]
    for needed in (compiler[0], *runner[:1]):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    program = compiled(tmp_path_factory.getbasetemp(), *compiler)
    command = [*runner, str(program)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == VERSIONS.get(kind, done.stdout.split())
    assert done.stdout
