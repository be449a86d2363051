"""llama.cpp's server in this process, until it is ended.

    python3 benchmarks/peers/llama_server.py FOLDER TARGET ROWS     # pip install xllamacpp

Writes the checkpoint of FOLDER to TARGET in q8_0 unless it is there, and says the address. As its
header advises for texts that do not begin alike, each of the rows has a cache of its own.
"""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import xllamacpp
from benchmarks.peers.llama_cpp import LlamaCpp

N_CTX = 1024


def main(folder: str, target: str, rows: str) -> None:
    if not Path(target).exists():
        LlamaCpp("q8_0").convert(Path(folder), Path(target))
    settings = xllamacpp.CommonParams()
    settings.model.path, settings.port = target, 0
    settings.n_parallel, settings.n_ctx, settings.kv_unified = int(rows), N_CTX * int(rows), False
    server = xllamacpp.Server(settings)
    print(f"{server.listening_address} serves", file=sys.stderr, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
