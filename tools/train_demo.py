"""Text -> models/demo: trains a byte-level BPE vocabulary and a small GPT-2 on a CPU.

    pip install -r requirements-dev.txt
    python3 tools/train_demo.py --corpus fairy_tales.txt --work /tmp/demo

The corpus is UTF-8 text whose documents are separated by lines "<|endoftext|>". Every twentieth
document is held out whole. --work keeps the state of the run: started again with the same
settings, it goes on where it stopped. The weights with the lowest held-out loss so far are
written to --out as an OpenAI checkpoint folder at every evaluation.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
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
from gpt2_sampler.weights.checkpoint import save_checkpoint
from gpt2_sampler.weights.hparams import HParams

END_OF_TEXT = "<|endoftext|>"
HELD_OUT_EVERY = 20  # documents


def main(
    corpus: str,
    work: str,
    out: str = "models/demo",
    *,
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

    Matrix products run in bfloat16 where the processor has it, the rest in float32.
    """
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    tf.random.set_seed(seed)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    hparams = HParams(n_vocab, n_ctx, n_embd, n_head, n_layer)
    train, held_out = split(Path(corpus).read_text(encoding="utf-8"))
    if not (folder / "vocab.bpe").exists():
        train_vocabulary(train, n_vocab, folder)
    train_ids, held_out_ids = encode(train, folder), encode(held_out, folder)
    print(f"{len(train_ids):,} tokens to train on, {len(held_out_ids):,} held out")
    bits = 1 / (math.log(2) * sum(len(document.encode()) for document in held_out))

    weights = initial_weights(hparams, seed)
    variables = list(weights.values())
    optimizer = new_optimizer(variables, steps, learning_rate, weight_decay)

    @tf.function
    def train_step(batch: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = token_losses(params(weights), hparams, batch, dropout)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        optimizer.apply(gradients, variables)
        return loss

    @tf.function
    def score_step(batch: tf.Tensor) -> tf.Tensor:
        return token_losses(params(weights), hparams, batch, 0.0)

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
    with tqdm(total=steps, initial=int(step), unit="step") as bar:
        for batch in batches(train_ids, batch_size, n_ctx, seed, int(step)):
            if int(step) >= steps:
                break
            losses.append(float(train_step(tf.constant(batch))))
            step.assign_add(1)
            bar.update()
            if int(step) % evaluate_every and int(step) != steps:
                continue
            nats = score(score_step, held_out_ids, n_ctx, batch_size)
            bar.write(
                f"step {int(step)}: train {np.mean(losses):.4f} nats a token, held out "
                f"{nats / len(held_out_ids):.4f}, {nats * bits:.4f} bits a byte"
                f"{', saved' if nats < float(best) else ''}"
            )
            if nats < float(best):
                best.assign(nats)
                save_checkpoint(folder, hparams, stored(weights, hparams))
            losses.clear()
            manager.save()


def new_optimizer(
    variables: list[keras.Variable], steps: int, learning_rate: float, weight_decay: float
) -> keras.optimizers.Optimizer:
    """Muon for the matrices (Liu et al. 2025, "Muon is Scalable for LLM Training"), AdamW for the
    rest; a short warm-up, then a cosine down to a fiftieth."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, alpha=0.02, warmup_target=learning_rate, warmup_steps=max(1, steps // 50)
    )
    optimizer = keras.optimizers.Muon(
        schedule,
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


def train_vocabulary(documents: list[str], n_vocab: int, folder: Path) -> None:
    """Writes encoder.json, with end-of-text last, and vocab.bpe."""
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


def initial_weights(hparams: HParams, seed: int) -> dict[str, keras.Variable]:
    """GPT-2's initialisation: normal, 0.02 wide (0.01 for positions), the projections that
    write to the residual stream narrowed by the root of their number. Matrices [I, O]."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, stored_shape in hparams.variable_shapes().items():
        shape = stored_shape[-2:]
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


def params(weights: dict[str, keras.Variable]) -> dict[str, tf.Tensor]:
    """The weights in the shapes that model.py reads."""
    return {
        name: variable.value[None] if name.endswith("/w") else variable.value
        for name, variable in weights.items()
    }


def stored(weights: dict[str, keras.Variable], hparams: HParams) -> dict[str, np.ndarray]:
    """The weights in the shapes that a checkpoint holds."""
    shapes = hparams.variable_shapes()
    return {name: v.value.numpy().reshape(shapes[name]) for name, v in weights.items()}


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
