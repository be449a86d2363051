"""How far int8 is from float32: KL divergence and perplexity on tales the model never saw.

    python3 benchmarks/bench_precision.py --corpus fairy_tales.txt [--folder models/demo]

The corpus is the one that tools/train_demo.py was given; what that held out is read here as when
sampling: half a window of n_ctx tokens at once, the other half token by token, which is what
counts. KL is of int8's distribution of the next token from float32's, nats a token.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import fire
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from gpt2_sampler import load_engine, load_tokenizer
from gpt2_sampler.engines.engine import Engine

ROOT = Path(__file__).resolve().parents[1]
Floats = npt.NDArray[np.float64]


def main(corpus: str, folder: str = str(ROOT / "models" / "demo"), windows: int = 200) -> None:
    """Reads so many windows, spread evenly over the held-out text."""
    from tools.train_demo import encode, split

    _, held_out = split(Path(corpus).read_text(encoding="utf-8"))
    ids = encode(held_out, Path(folder))
    exact, near = (load_engine(folder, "cpu", precision) for precision in ("float32", "int8"))
    n_ctx, half = exact.hparams.n_ctx, exact.hparams.n_ctx // 2
    starts = np.linspace(0, len(ids) - n_ctx - 1, windows).astype(int)
    divergences, losses, near_losses, agreed = [], [], [], []
    for start in tqdm(starts, unit="window"):
        window = ids[start : start + n_ctx].tolist()
        following = ids[start + half + 1 : start + n_ctx + 1]
        p, q = (log_softmax(logits(e, window, half)) for e in (exact, near))
        divergences.append((np.exp(p) * (p - q)).sum(axis=-1))
        losses.append(-p[np.arange(len(p)), following])
        near_losses.append(-q[np.arange(len(q)), following])
        agreed.append(p.argmax(axis=-1) == q.argmax(axis=-1))
    n_bytes = len(load_tokenizer(folder).decode(ids.tolist()).encode()) / len(ids)
    result = {
        "tokens": int(np.concatenate(losses).size),
        "kl_nats": float(np.concatenate(divergences).mean()),
        "kl_nats_99th_percentile": float(np.percentile(np.concatenate(divergences), 99)),
        "perplexity_float32": float(np.exp(np.concatenate(losses).mean())),
        "perplexity_int8": float(np.exp(np.concatenate(near_losses).mean())),
        "bits_a_byte_float32": float(np.concatenate(losses).mean() / np.log(2) / n_bytes),
        "same_likeliest_token": float(np.concatenate(agreed).mean()),
    }
    for name, value in result.items():
        print(f"{name:28} {value:.6g}")
    print(json.dumps(result))


def logits(engine: Engine, window: list[int], half: int) -> npt.NDArray[np.float32]:
    """After each token of the second half."""
    engine.reset(1)
    engine.prefill(window[:half])
    return np.concatenate([engine.decode([window[at]], [at]) for at in range(half, len(window))])


def log_softmax(logits: npt.NDArray[np.float32]) -> Floats:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


if __name__ == "__main__":
    fire.Fire(main)
