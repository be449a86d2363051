"""GGUF's types beside llama.cpp: the same files, its log-probabilities and ours -> how far apart.

    PYTHONPATH=src python3 -m tests.long.llama_types        # pip install xllamacpp; a minute

llama.cpp makes the files' blocks, through ggml_quantize_chunk in xllamacpp's library. It rounds
what it multiplies by them too, as Q8_0 alone shows; a type that is read wrongly is off by far more.
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from gpt2_sampler import load_engine
from gpt2_sampler.weights.hparams import HParams
from tests import gguf_files
from tests.checkpoints import byte_vocabulary, random_weights

SHAPE = HParams(n_vocab=258, n_ctx=64, n_embd=256, n_head=4, n_layer=2)
KINDS = (
    "F32", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
    "IQ4_XS", "IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S",
)  # fmt: skip
PROMPTS = ([3, 1, 4, 1, 5, 9, 2, 6, 5, 35], [77, 18, 90, 61, 62], [40, 41, 42])
CLOSE = 0.5  # of a log-probability, whose range is 30


def quantize(data: np.ndarray, qtype: GGMLQuantizationType) -> np.ndarray:  # [N, I] -> [N, bytes]
    """By llama.cpp, each number as important as any other."""
    import xllamacpp

    if qtype == GGMLQuantizationType.F32:
        return data
    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    rows, size = data.shape
    n_numbers, n_bytes = GGML_QUANT_SIZES[qtype]
    blocks = np.zeros((rows, size // n_numbers * n_bytes), np.uint8)
    weights = np.ones(size, np.float32)
    pointers = (ctypes.c_void_p(a.ctypes.data) for a in (data, blocks, weights))
    source, target, importance = pointers
    sizes = map(ctypes.c_int64, (0, rows, size))
    library.ggml_quantize_chunk(ctypes.c_int(qtype), source, target, *sizes, importance)
    return blocks


def llama_log_probabilities(path: Path, tokens: list[int]) -> np.ndarray:  # [V]
    """After the tokens, NaN where llama.cpp tells none."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.n_ctx, settings.cpuparams.n_threads = str(path), 64, 1
    asked = {"prompt": tokens, "n_predict": 1, "n_probs": SHAPE.n_vocab, "temperature": 0}
    answer = xllamacpp.Server(settings).handle_completions(asked)
    answer = json.loads(answer) if isinstance(answer, str) else answer
    told = np.full(SHAPE.n_vocab, np.nan)
    for drawn in (answer["choices"][0]["logprobs"] or {"content": []})["content"]:
        for one in drawn["top_logprobs"]:
            told[one["id"]] = one["logprob"]
    return told


def our_log_probabilities(path: Path, tokens: list[int]) -> np.ndarray:  # [V]
    logits = load_engine(path, "cpu").logits(tokens)[-1].astype(np.float64)
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def main() -> int:
    gguf_files.quantize = quantize
    weights = random_weights(SHAPE)
    weights |= {name: 0.2 * array for name, array in weights.items() if name.endswith("/w")}
    wrong = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = byte_vocabulary(Path(temporary))
        tokens = list(json.loads((folder / "encoder.json").read_text(encoding="utf-8")))
        for kind in KINDS:
            path = gguf_files.write_gguf(
                folder / f"{kind}.gguf", SHAPE, weights, kind, tokens, ["t h"]
            )
            for prompt in PROMPTS:  # the first after which no text ends, of which nothing is told
                theirs = llama_log_probabilities(path, prompt)
                if np.isfinite(theirs).all():
                    break
            apart = float(np.abs(theirs - our_log_probabilities(path, prompt)).max())
            print(f"{kind:8} {apart:.3f}", flush=True)
            wrong |= not apart < CLOSE  # also where it is no number
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
