"""The programs that bench_decode.py measures, by name. None is imported before it is loaded."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from benchmarks.peers.ctranslate2 import CTranslate2
from benchmarks.peers.llama_cpp import LlamaCpp
from benchmarks.peers.ours import LiteRT, TensorFlow
from benchmarks.peers.peer import Peer
from benchmarks.peers.pytorch import Transformers

ALL: tuple[Peer, ...] = (
    LiteRT("int8"),
    LiteRT("float32"),
    TensorFlow(),
    Transformers(),
    CTranslate2("int8"),
    CTranslate2("float32"),
    LlamaCpp("q8_0"),
    LlamaCpp("f16"),
    LlamaCpp("f32"),
)
PEERS = {peer.name: peer for peer in ALL}
