"""Text -> a bundled model: trains a byte-level BPE vocabulary and a small GPT-2 on a CPU.

    pip install -r requirements-dev.txt
    python3 tools/train_demo.py --corpus fairy_tales.txt --work /tmp/demo
    python3 tools/train_demo.py --corpus chinese_tales.txt --both_scripts --work /tmp/demo-zh \
        --out models/demo-zh --n_vocab 8192 --dropout 0 --steps 7000

The corpus is UTF-8 text whose documents are separated by lines "<|endoftext|>". Every twentieth
document is held out whole. The weights with the lowest held-out loss so far are written to --out
as an OpenAI checkpoint folder at every evaluation.

--work keeps the state of the run at every evaluation: killed and started again with the same
settings, it goes on from there. The learning rate is level until the last fifth of --steps, so
until then --steps may be another number each time; with one that was passed already, the tool
scores the saved weights on all that was held out, and ends.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import fire
import keras
import numpy as np
import tensorflow as tf
import tokenizers
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from gpt2_sampler.engines.tensorflow import model
from gpt2_sampler.tokenizer.byte_level import load_encoder
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.hparams import HParams
from gpt2_sampler.weights.openai import save_checkpoint

END_OF_TEXT = "<|endoftext|>"
HELD_OUT_EVERY = 20  # documents
GLANCE = 12  # held-out documents that are scored while training; all are at the end
WARM_UP = 100  # steps
DECAY = 0.2  # the last part of the steps


def main(
    corpus: str,
    work: str,
    out: str = "models/demo",
    *,
    both_scripts: bool = False,
    n_vocab: int = 4096,
    n_ctx: int = 512,
    n_embd: int = 256,
    n_head: int = 4,
    n_layer: int = 6,
    steps: int = 4500,
    batch_size: int = 8,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.1,
    dropout: float = 0.1,
    evaluate_every: int = 500,
    seed: int = 0,
) -> None:
    """Trains and writes the model; a step reads batch_size x n_ctx tokens.

    both_scripts: learns each Chinese document in traditional and in simplified characters.
    Matrix products run in bfloat16 where the processor has it, the rest in float32.
    """
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    tf.random.set_seed(seed)
    folder = Path(out)
    hparams = HParams(n_vocab, n_ctx, n_embd, n_head, n_layer)
    train, held_out = split(Path(corpus).read_text(encoding="utf-8"))
    scripts = in_both_scripts if both_scripts else in_one_script
    # A document's twin stands far from it: no window shows both.
    train = list(chain.from_iterable(scripts(train).values()))
    if not (folder / "vocab.bpe").exists():
        train_vocabulary(train, n_vocab, folder)
    train_ids = encode_once(train, folder, Path(work, "train_ids.npy"))
    glance = held_out_texts(scripts(held_out[:: max(1, len(held_out) // GLANCE)]), folder)
    n_glance = sum(len(text.ids) for text in glance)
    print(f"{len(train_ids):,} tokens to train on, {n_glance:,} to look at while training")

    weights = initial_weights(hparams, seed)
    variables = list(weights.values())
    optimizer = new_optimizer(variables, steps, learning_rate, weight_decay)

    @tf.function
    def train_step(batch: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(token_losses(values(weights), hparams, batch, dropout))
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), 1.0)
        optimizer.apply(gradients, variables)
        return loss

    @tf.function
    def score_step(batch: tf.Tensor) -> tf.Tensor:
        return token_losses(values(weights), hparams, batch, 0.0)

    step = tf.Variable(0, dtype=tf.int64)
    best = tf.Variable(math.inf)
    state = tf.train.Checkpoint(
        **{variable.name: variable.value for variable in variables},
        optimizer=[variable.value for variable in optimizer.variables],
        step=step,
        best=best,
    )
    manager = tf.train.CheckpointManager(state, work, max_to_keep=1)
    if manager.restore_or_initialize():
        print(f"going on from step {int(step)}")

    losses: list[float] = []
    with tqdm(total=steps, initial=int(step), unit="step", mininterval=5) as bar:
        for batch in batches(train_ids, batch_size, n_ctx, seed, int(step)):
            if int(step) >= steps:
                break
            losses.append(float(train_step(tf.constant(batch))))
            step.assign_add(1)
            bar.update()
            if int(step) % evaluate_every and int(step) != steps:
                continue
            scores = [score(score_step, text.ids, n_ctx, batch_size) for text in glance]
            better = sum(scores) < float(best)
            bar.write(
                f"step {int(step)}: train {np.mean(losses):.4f} nats a token, "
                f"held out {in_words(glance, scores)}{', saved' if better else ''}"
            )
            if better:
                best.assign(sum(scores))
                save_checkpoint(folder, hparams, arrays(weights))
            losses.clear()
            manager.save()

    restore(weights, folder)
    texts = held_out_texts(scripts(held_out), folder)
    scores = [score(score_step, text.ids, n_ctx, batch_size) for text in texts]
    print(f"saved weights: all that was held out {in_words(texts, scores)}")


class Trapezium(keras.optimizers.schedules.LearningRateSchedule):
    """Up, level, and down to nothing: only the way down depends on the number of steps."""

    def __init__(self, peak: float, steps: int) -> None:
        self.peak, self.steps = peak, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step, tf.float32)
        up, down = (done + 1) / WARM_UP, (self.steps - done) / (DECAY * self.steps)
        return self.peak * tf.clip_by_value(tf.minimum(up, down), 0.0, 1.0)


def new_optimizer(
    variables: list[keras.Variable], steps: int, learning_rate: float, weight_decay: float
) -> keras.optimizers.Optimizer:
    """Muon for the matrices (Liu et al. 2025, "Muon is Scalable for LLM Training"), AdamW for the
    rest."""
    optimizer = keras.optimizers.Muon(
        Trapezium(learning_rate, steps),
        weight_decay=weight_decay,
        adam_weight_decay=weight_decay,
        adam_beta_2=0.99,
        exclude_layers=["wte", "wpe"],
    )
    optimizer.exclude_from_weight_decay(var_names=["_g$", "_b$", "wpe"])
    optimizer.build(variables)
    return optimizer


def split(text: str) -> tuple[list[str], list[str]]:
    """A corpus -> the documents to train on, the documents held out."""
    documents = [f"{document.strip()}\n" for document in text.split(END_OF_TEXT)]
    middle = HELD_OUT_EVERY // 2
    held_out = documents[middle::HELD_OUT_EVERY]
    train = [d for i, d in enumerate(documents) if i % HELD_OUT_EVERY != middle]
    return train, held_out


def in_one_script(documents: list[str]) -> dict[str, list[str]]:
    return {"as written": documents}


def in_both_scripts(documents: list[str]) -> dict[str, list[str]]:
    """Chinese documents, each in one script or the other -> all in traditional characters, all in
    simplified ones."""
    import opencc

    to_simplified, to_traditional = opencc.OpenCC("tw2s").convert, opencc.OpenCC("s2tw").convert
    scripts: dict[str, list[str]] = {"traditional": [], "simplified": []}
    for document in documents:
        # OpenCC reads the character that many type for "me" as the rarer "yao".
        simplified = to_simplified(document.replace("么", "麼"))
        traditional = to_traditional(document)
        if distance(document, simplified) > distance(document, traditional):
            traditional = document
        else:
            simplified = document
        scripts["traditional"].append(traditional)
        scripts["simplified"].append(simplified)
    return scripts


def distance(one: str, other: str) -> int:
    """Characters that differ."""
    return sum(a != b for a, b in zip(one, other, strict=False))


def train_vocabulary(documents: list[str], n_vocab: int, folder: Path) -> None:
    """Writes encoder.json, with end-of-text last, and vocab.bpe."""
    folder.mkdir(parents=True, exist_ok=True)
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = byte_level
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=n_vocab - 1, initial_alphabet=sorted(byte_level.alphabet())
    )
    tokenizer.train_from_iterator(documents, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    encoder = {**trained["vocab"], END_OF_TEXT: n_vocab - 1}
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in trained["merges"]]
    (folder / "encoder.json").write_text(json.dumps(encoder), encoding="utf-8")
    (folder / "vocab.bpe").write_text(
        "\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8"
    )


def encode(documents: list[str], folder: Path) -> np.ndarray:
    """Documents -> one run of ids, each document after an end-of-text."""
    encoder = load_encoder(folder)
    assert encoder.end_of_text is not None
    ids: list[int] = []
    for document in documents:
        ids.append(encoder.end_of_text)
        ids.extend(encoder.encode(document))
    return np.array(ids, np.int32)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Held-out documents in one script."""

    script: str
    ids: np.ndarray
    n_bytes: int
    n_characters: int


def held_out_texts(scripts: dict[str, list[str]], folder: Path) -> list[HeldOut]:
    return [
        HeldOut(
            script,
            encode(documents, folder),
            sum(len(document.encode()) for document in documents),
            sum(map(len, documents)),
        )
        for script, documents in scripts.items()
    ]


def in_words(texts: list[HeldOut], scores: list[float]) -> str:
    """texts, the nats of each -> what that is a token, a byte and a character."""
    nats, bits = sum(scores), sum(scores) / math.log(2)
    words = (
        f"{nats / sum(len(text.ids) for text in texts):.4f}, "
        f"{bits / sum(text.n_bytes for text in texts):.4f} bits a byte, "
        f"{bits / sum(text.n_characters for text in texts):.4f} a character"
    )
    if len(texts) == 1:
        return words
    each = (
        f"{text.script} {score / math.log(2) / text.n_characters:.4f}"
        for text, score in zip(texts, scores, strict=True)
    )
    return f"{words} ({', '.join(each)})"


def encode_once(documents: list[str], folder: Path, path: Path) -> np.ndarray:
    """What encode gives, kept at path."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, encode(documents, folder))
    return np.load(path)


def initial_weights(hparams: HParams, seed: int) -> dict[str, keras.Variable]:
    """GPT-2's initialisation: normal, 0.02 wide (0.01 for positions), the projections that
    write to the residual stream narrowed by the root of their number. Matrices [I, O]."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in hparams.variable_shapes().items():
        if name.endswith("/g"):
            value = np.ones(shape)
        elif name.endswith("/b"):
            value = np.zeros(shape)
        else:
            width = 0.01 if name == "wpe" else 0.02
            if name.endswith("c_proj/w"):
                width /= math.sqrt(2 * hparams.n_layer)
            value = random.normal(0, width, shape)
        weights[name] = keras.Variable(value.astype(np.float32), name=name.replace("/", "_"))
    return weights


def values(weights: dict[str, keras.Variable]) -> dict[str, tf.Tensor]:
    return {name: variable.value for name, variable in weights.items()}


def arrays(weights: dict[str, keras.Variable]) -> dict[str, np.ndarray]:
    return {name: variable.value.numpy() for name, variable in weights.items()}


def restore(weights: dict[str, keras.Variable], folder: Path) -> None:
    """What stored gave, from the checkpoint in the folder."""
    checkpoint = open_checkpoint(folder)
    for name, variable in weights.items():
        variable.assign(checkpoint[name].reshape(variable.shape))


def token_losses(
    params: dict[str, tf.Tensor], hparams: HParams, batch: tf.Tensor, dropout: float
) -> tf.Tensor:
    """batch [B, T + 1] -> the loss of predicting each next token [B, T], nats.

    model.transform of whole texts, with dropout where GPT-2 was trained with it.
    """

    def drop(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.dropout(x, dropout) if dropout else x

    tokens = batch[:, :-1]
    rows, n_tokens = tf.shape(tokens)[0], tf.shape(tokens)[1]
    positions = tf.repeat(tf.range(n_tokens)[None], rows, axis=0)
    x = drop(tf.gather(params["wte"], tokens) + params["wpe"][:n_tokens])
    for layer in range(hparams.n_layer):
        h = f"h{layer}"
        normed = model.layer_norm(params, hparams, f"{h}/ln_1", x)
        attended = model.attention(
            params, hparams, layer, normed, positions, lambda layer, keys, values: (keys, values)
        )
        x += drop(attended)
        normed = model.layer_norm(params, hparams, f"{h}/ln_2", x)
        x += drop(model.mlp(params, hparams, f"{h}/mlp", normed))
    flat = tf.reshape(model.layer_norm(params, hparams, "ln_f", x), [-1, hparams.n_embd])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.reshape(batch[:, 1:], [-1]), model.unembed(params, hparams, flat)
    )
    return tf.reshape(losses, tf.shape(tokens))


def batches(
    ids: np.ndarray, batch_size: int, n_ctx: int, seed: int, start: int
) -> Iterator[np.ndarray]:
    """Endless [B, C + 1] windows: each pass reads every token once, cut at a new offset."""
    per_pass = (len(ids) - n_ctx - 1) // n_ctx // batch_size
    step = start
    while True:
        passes, within = divmod(step, per_pass)
        random = np.random.default_rng([seed, passes])
        offset = int(random.integers(n_ctx))
        order = random.permutation(per_pass * batch_size)
        for first in order.reshape(per_pass, batch_size)[within:]:
            yield np.stack([ids[offset + i * n_ctx :][: n_ctx + 1] for i in first])
            step += 1


def score(
    score_step: tf.types.experimental.GenericFunction, ids: np.ndarray, n_ctx: int, rows: int
) -> float:
    """Nats of ids[1:], each token seen with at least n_ctx / 2 tokens before it, where there are
    so many: windows overlap by half and count their second half."""
    half = n_ctx // 2
    windows = [ids[i : i + n_ctx + 1] for i in range(0, len(ids) - 1, half)]
    windows = [w for w in windows if len(w) > half or w is windows[0]]
    total = 0.0
    for i in range(0, len(windows), rows):
        group = windows[i : i + rows]
        padded = np.zeros([rows, n_ctx + 1], np.int32)
        for row, window in enumerate(group):
            padded[row, : len(window)] = window
        losses = score_step(tf.constant(padded)).numpy()
        for row, window in enumerate(group):
            first = 0 if i + row == 0 else half
            total += float(losses[row, first : len(window) - 1].sum())
    return total


if __name__ == "__main__":
    fire.Fire(main)
