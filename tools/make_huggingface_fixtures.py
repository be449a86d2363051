"""Small random GPT-2s as transformers saves them -> tests/data/huggingface, with its logits.

    pip install torch transformers
    python3 tools/make_huggingface_fixtures.py

The tests compare with these numbers wherever they run; transformers is only needed here. Its
version is kept beside them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import BertTokenizer, GPT2Config, GPT2LMHeadModel, GPT2Model

TARGET = Path(__file__).resolve().parents[1] / "tests" / "data" / "huggingface"
SHAPE = {"vocab_size": 61, "n_positions": 23, "n_embd": 14, "n_head": 2, "n_layer": 2}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gelu": {"activation_function": "gelu", "n_inner": 37, "layer_norm_epsilon": 0.01},
    "relu": {"activation_function": "relu", "scale_attn_weights": False},
    "silu": {"activation_function": "silu", "scale_attn_by_inverse_layer_idx": True},
    "quick_gelu": {"activation_function": "quick_gelu", "tie_word_embeddings": False},
    "tanh": {"activation_function": "tanh", "reorder_and_upcast_attn": True},
}
STORED = {"gelu": torch.float16, "relu": torch.bfloat16}
SHARDED = {"silu": "8KB"}
LENGTH = 11  # tokens that are read, and that are written
CHINESE = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] 。 ， ： “ ” ！ . , - ' 天 地 人 之 初 性 本 善 春 眠 不 觉 晓 "
    "处 闻 啼 鸟 我 是 用 手 机 gpt hello world ##ing ##s say 2 20 ##1 ##9 a e ##e"
)
TEXTS = (
    "春眠不觉晓，处处闻啼鸟。",
    "我用 GPT 手机：“人之初”！",
    "Hello world, saying hellos 2019",
    "天\n地 é 龘",
)


def main() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    expected: dict[str, Any] = {}
    for number, (kind, choices) in enumerate(KINDS.items()):
        torch.manual_seed(number)
        # Wide weights, so that every choice shows in the logits.
        config = GPT2Config(
            **SHAPE, **choices, initializer_range=0.3, bos_token_id=60, eos_token_id=60
        )
        model = GPT2LMHeadModel(config).eval()
        for name, weight in model.named_parameters():
            if name.endswith("bias") or "ln_" in name:
                torch.nn.init.normal_(weight, float("ln_" in name and "weight" in name), 0.3)
        folder = TARGET / kind
        stored = model.to(STORED.get(kind, torch.float32))
        if kind == "tanh":  # without the head and the prefix "transformer."
            GPT2Model.save_pretrained(stored.transformer, folder)
        else:
            stored.save_pretrained(folder, max_shard_size=SHARDED.get(kind, "1GB"))
        (folder / "generation_config.json").unlink(missing_ok=True)
        model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
        tokens = torch.randint(61, [3, LENGTH])
        with torch.no_grad():
            expected[f"{kind}_tokens"] = tokens.numpy()
            expected[f"{kind}_logits"] = model(tokens).logits.numpy()
            expected[f"{kind}_greedy"] = greedy(model, tokens[:1])
    np.savez_compressed(TARGET / "expected.npz", **expected)
    chinese()
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    (TARGET / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


def greedy(model: GPT2LMHeadModel, tokens: torch.Tensor) -> np.ndarray:  # [1, T] -> [LENGTH]
    written = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        do_sample=False,
        max_new_tokens=LENGTH,
        eos_token_id=None,
        pad_token_id=0,
    )
    return written[0, tokens.shape[1] :].numpy()


def chinese() -> None:
    """BERT's vocab.txt, and the same in tokenizer.json, as Chinese GPT-2 models have it."""
    folder = TARGET / "chinese"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(CHINESE.split(" ")) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ids = {text: tokenizer.encode(text, add_special_tokens=False) for text in TEXTS}
    text = json.dumps(ids, ensure_ascii=False, indent=2)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
