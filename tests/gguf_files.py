"""Weights by OpenAI's names -> a GGUF file, laid out as llama.cpp's converter does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

from gpt2_sampler.weights.hparams import HParams

NAMES = {
    "wte": "token_embd.weight", "wpe": "position_embd.weight", "lm_head": "output.weight",
    "ln_f/g": "output_norm.weight", "ln_f/b": "output_norm.bias",
}  # fmt: skip
PARTS = {
    "ln_1/g": "attn_norm.weight", "ln_1/b": "attn_norm.bias",
    "attn/c_attn/w": "attn_qkv.weight", "attn/c_attn/b": "attn_qkv.bias",
    "attn/c_proj/w": "attn_output.weight", "attn/c_proj/b": "attn_output.bias",
    "ln_2/g": "ffn_norm.weight", "ln_2/b": "ffn_norm.bias",
    "mlp/c_fc/w": "ffn_up.weight", "mlp/c_fc/b": "ffn_up.bias",
    "mlp/c_proj/w": "ffn_down.weight", "mlp/c_proj/b": "ffn_down.bias",
}  # fmt: skip


def write_gguf(
    path: Path,
    hparams: HParams,
    weights: Mapping[str, np.ndarray],
    kind: str = "F32",
    tokens: Sequence[str] = (),
    merges: Sequence[str] = (),
) -> Path:
    """kind is that of the matrices; the rest is F32. Without tokens there is no vocabulary."""
    writer = GGUFWriter(path, "gpt2")
    writer.add_context_length(hparams.n_ctx)
    writer.add_embedding_length(hparams.n_embd)
    writer.add_feed_forward_length(hparams.inner_size)
    writer.add_block_count(hparams.n_layer)
    writer.add_head_count(hparams.n_head)
    writer.add_layer_norm_eps(hparams.layer_norm_epsilon)
    if tokens:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(list(tokens))
        writer.add_token_types([3 if token == "<|endoftext|>" else 1 for token in tokens])
        writer.add_token_merges(list(merges))
        writer.add_bos_token_id(tokens.index("<|endoftext|>"))
        writer.add_eos_token_id(tokens.index("<|endoftext|>"))
    for name, array in weights.items():
        layer, _, part = name.partition("/")
        theirs = NAMES.get(name) or f"blk.{layer[1:]}.{PARTS[part]}"
        stored = array.T if name.endswith("/w") else array
        if stored.ndim == 2 and name != "wpe":
            dtype = GGMLQuantizationType[kind]
            writer.add_tensor(
                theirs, quantize(np.ascontiguousarray(stored), dtype), raw_dtype=dtype
            )
        else:
            writer.add_tensor(theirs, stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
