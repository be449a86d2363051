"""CTranslate2, as a peer."""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.peers.peer import TEMPERATURE, TOP_K, Peer, Step, Texts


def normalise(spec: Any, weights: Mapping[str, np.ndarray], name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}/g"], weights[f"{name}/b"]


def multiply(spec: Any, weights: Mapping[str, np.ndarray], name: str) -> None:
    matrix = weights[f"{name}/w"]  # [1, in, out], and its own are [out, in]
    spec.weight = np.ascontiguousarray(matrix.reshape(matrix.shape[-2:]).T)
    spec.bias = weights[f"{name}/b"]


class CTranslate2(Peer):
    module, program, sampler = "ctranslate2", "CTranslate2", "C++"

    def convert(self, folder: Path, target: Path) -> None:
        """As its converters describe a model, which need transformers and torch."""
        from ctranslate2.specs import Activation, TransformerDecoderModelSpec

        from gpt2_sampler.weights.checkpoint import open_checkpoint

        checkpoint = open_checkpoint(folder)
        h, weights = checkpoint.hparams, {name: array.copy() for name, array in checkpoint.items()}
        spec = TransformerDecoderModelSpec.from_config(
            h.n_layer, h.n_head, activation=Activation.GELUTanh
        )
        decoder = spec.decoder
        decoder.scale_embeddings = False
        decoder.embeddings.weight = weights["wte"]
        decoder.projection.weight = weights["wte"]
        decoder.position_encodings.encodings = weights["wpe"]
        normalise(decoder.layer_norm, weights, "ln_f")
        for number, layer in enumerate(decoder.layer):
            own = f"h{number}"
            normalise(layer.self_attention.layer_norm, weights, f"{own}/ln_1")
            multiply(layer.self_attention.linear[0], weights, f"{own}/attn/c_attn")
            multiply(layer.self_attention.linear[1], weights, f"{own}/attn/c_proj")
            normalise(layer.ffn.layer_norm, weights, f"{own}/ln_2")
            multiply(layer.ffn.linear_0, weights, f"{own}/mlp/c_fc")
            multiply(layer.ffn.linear_1, weights, f"{own}/mlp/c_proj")
        ids = json.loads((folder / "encoder.json").read_text("utf-8"))
        spec.register_vocabulary(sorted(ids, key=ids.__getitem__))
        for kind in ("bos", "eos", "unk"):
            setattr(spec.config, f"{kind}_token", "<|endoftext|>")
        spec.validate()
        spec.optimize(quantization=self.precision)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        spec.save(str(target))

    def load(self, folder: Path, target: Path, threads: int) -> None:
        import ctranslate2

        self.ids = json.loads((folder / "encoder.json").read_text("utf-8"))
        self.generator = ctranslate2.Generator(
            str(target), compute_type=self.precision, intra_threads=threads
        )

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        return np.array(self.generator.forward_batch([list(tokens)]))[0, -1]

    def generate(
        self, n_prompt: int, length: int, rows: int, step: Step, top_k: int = TOP_K
    ) -> list[int]:
        def hook(result: Any) -> bool:
            if result.batch_id == rows - 1:
                step()
            return False

        [first, *_] = self.generator.generate_batch(
            [["<|endoftext|>"] * n_prompt] * rows,
            include_prompt_in_result=False,
            min_length=length,  # else a text may end sooner
            max_length=length,
            sampling_topk=top_k,
            sampling_temperature=TEMPERATURE,
            callback=hook,
        )
        return first.sequences_ids[0]

    def continue_all(self, texts: Texts, rows: int) -> int:
        """It sorts them by length itself, and gives all of them as many tokens."""
        names = [token for token, _ in sorted(self.ids.items(), key=lambda item: item[1])]
        [length] = {length for _, length in texts}
        results = self.generator.generate_batch(
            [[names[token] for token in prompt] for prompt, _ in texts],
            max_batch_size=rows,
            include_prompt_in_result=False,
            min_length=length,
            max_length=length,
            sampling_topk=TOP_K,
            sampling_temperature=TEMPERATURE,
        )
        return sum(len(result.sequences_ids[0]) for result in results)
