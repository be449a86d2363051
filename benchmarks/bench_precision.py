"""How far int8 is from float32: KL divergence and perplexity on tales the model never saw.

    python3 benchmarks/bench_precision.py --corpus fairy_tales.txt [--folder models/demo]

The corpus is the one that tools/train_demo.py was given; what that held out is read here as when
sampling: half a window of n_ctx tokens at once, the other half token by token, which is what
counts. KL is of int8's distribution of the next token from float32's, nats a token. Where
llama-cpp-python and gguf are installed, llama.cpp reads the same in q8_0 and in f32: the distance
of q8_0 is from the same float32 as int8's, that of f32 shows what is not the weights'. Drawn:
whether the same seed gives the same next token after the same text.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import fire
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.peers import LlamaCpp  # noqa: E402

from gpt2_sampler import Sampling, load_engine, load_tokenizer  # noqa: E402
from gpt2_sampler.decoding.choose import choose  # noqa: E402
from gpt2_sampler.decoding.noise import key  # noqa: E402
from gpt2_sampler.decoding.rules import History  # noqa: E402

THREADS = 1  # a small model has nothing to share, and other work does not make it wait
SAMPLINGS = {"temperature_0.7_top_k_40": Sampling(0.7, top_k=40), "all_tokens": Sampling()}
Floats = npt.NDArray[np.float64]
Reader = Callable[[Sequence[int], int], npt.NDArray[np.float32]]
"""A window and half of its length -> the logits after each token of the second half, [T, V]."""


def main(corpus: str, folder: str = str(ROOT / "models" / "demo"), windows: int = 200) -> None:
    """Reads so many windows, spread evenly over the held-out text."""
    from tools.train_demo import encode, split

    _, held_out = split(Path(corpus).read_text(encoding="utf-8"))
    ids = encode(held_out, Path(folder))
    with tempfile.TemporaryDirectory() as converted:
        exact, readers = open_readers(Path(folder), Path(converted))
        n_ctx = json.loads((Path(folder) / "hparams.json").read_text())["n_ctx"]
        half = n_ctx // 2
        starts = np.linspace(0, len(ids) - n_ctx - 1, windows).astype(int)
        losses: list[Floats] = []
        measured = {name: defaultdict[str, list[Floats]](list) for name in readers}
        for start in tqdm(starts, unit="window"):
            window = ids[start : start + n_ctx].tolist()
            following = ids[start + half + 1 : start + n_ctx + 1]
            p = log_softmax(exact(window, half))
            losses.append(-p[np.arange(len(p)), following])
            for name, reader in readers.items():
                q = log_softmax(reader(window, half))
                measured[name]["kl"].append((np.exp(p) * (p - q)).sum(axis=-1))
                measured[name]["loss"].append(-q[np.arange(len(q)), following])
                measured[name]["same_likeliest_token"].append(p.argmax(-1) == q.argmax(-1))
                for how, sampling in SAMPLINGS.items():
                    same = draw_tokens(p, sampling, start) == draw_tokens(q, sampling, start)
                    measured[name][f"same_drawn_{how}"].append(same)
    loss = np.concatenate(losses)
    n_bytes = len(load_tokenizer(folder).decode(ids.tolist()).encode()) / len(ids)
    result: dict[str, dict[str, float]] = {
        "float32": {
            "tokens": loss.size,
            "perplexity": float(np.exp(loss.mean())),
            "bits_a_byte": float(loss.mean() / np.log(2) / n_bytes),
        }
    }
    for name, of_reader in measured.items():
        found = {what: np.concatenate(values) for what, values in of_reader.items()}
        kl = found.pop("kl")
        result[name] = {
            "kl_nats": float(kl.mean()),
            "kl_nats_99th_percentile": float(np.percentile(kl, 99)),
            "perplexity": float(np.exp(found.pop("loss").mean())),
            **{what: float(same.mean()) for what, same in found.items()},
        }
    for name, values in result.items():
        print(name)
        for what, value in values.items():
            print(f"    {what:36} {value:.6g}")
    print(json.dumps(result))


def open_readers(folder: Path, converted: Path) -> tuple[Reader, dict[str, Reader]]:
    """What reads exactly, and what is held against it, by name."""
    readers = {"int8": ours(folder, "int8")}
    if find_spec("llama_cpp") and find_spec("gguf"):
        for precision in ("q8_0", "f32"):
            peer = LlamaCpp(precision)
            peer.convert(folder, converted / precision)
            peer.load(folder, converted / precision, THREADS)
            readers[peer.name] = llama_cpp(peer)
    return ours(folder, "float32"), readers


def ours(folder: Path, precision: str) -> Reader:
    engine = load_engine(folder, "cpu", precision, THREADS)
    cache = engine.new_cache(1)

    def read(window: Sequence[int], half: int) -> npt.NDArray[np.float32]:
        engine.forward(cache, window[:half], [0] * half, range(half), [])
        return np.concatenate(
            [engine.forward(cache, [window[at]], [0], [at], [0]) for at in range(half, len(window))]
        )

    return read


def llama_cpp(peer: LlamaCpp) -> Reader:
    def read(window: Sequence[int], half: int) -> npt.NDArray[np.float32]:
        peer.reset(1)
        peer.go_on(window[:half], 0)
        return np.stack([peer.go_on([window[at]], at) for at in range(half, len(window))])

    return read


def draw_tokens(logits: Floats, sampling: Sampling, seed: int) -> npt.NDArray[np.intp]:
    """[T, V] -> T tokens, at T places of one sample."""
    keys = np.array([key((seed, 0), place) for place in range(len(logits))], np.uint64)
    n = len(logits)
    return choose(logits, [History()] * n, [sampling] * n, keys)


def log_softmax(logits: npt.NDArray[np.float32]) -> Floats:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


if __name__ == "__main__":
    fire.Fire(main)
