"""Hugging Face's transformers on PyTorch, as a peer."""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.peers.peer import END_OF_TEXT, TEMPERATURE, TOP_K, Peer, Step


class Transformers(Peer):
    module, program, sampler = "transformers", "transformers", "PyTorch"
    starts_slowly = True

    def convert(self, folder: Path, target: Path) -> None:
        import torch
        from transformers import GPT2Config, GPT2LMHeadModel

        from gpt2_sampler.weights.checkpoint import open_checkpoint

        checkpoint = open_checkpoint(folder)
        h = checkpoint.hparams
        sizes = {"n_positions": h.n_ctx, "n_embd": h.n_embd, "n_layer": h.n_layer}
        model = GPT2LMHeadModel(GPT2Config(vocab_size=h.n_vocab, n_head=h.n_head, **sizes))
        names = {"g": "weight", "b": "bias", "w": "weight", "wte": "wte.weight"}
        names["wpe"] = "wpe.weight"
        state = {}
        for name, array in checkpoint.items():
            *path, last = name.split("/")
            path = ["h", path[0][1:], *path[1:]] if name[0] == "h" else path
            key = ".".join(["transformer", *path, names[last]])
            state[key] = torch.tensor(array)
        state["lm_head.weight"] = state["transformer.wte.weight"]
        model.load_state_dict(state)
        model.save_pretrained(target)
        shutil.copyfile(folder / "encoder.json", target / "vocab.json")
        shutil.copyfile(folder / "vocab.bpe", target / "merges.txt")

    def load(self, folder: Path, target: Path, threads: int) -> None:
        import torch
        from transformers import GPT2LMHeadModel

        torch.set_num_threads(threads)
        self.model = GPT2LMHeadModel.from_pretrained(target, dtype=torch.float32).eval()
        self.model.generation_config.eos_token_id = None

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return self.model(torch.tensor([tokens])).logits[0, -1].numpy()

    def generate(
        self, n_prompt: int, length: int, rows: int, step: Step, top_k: int = TOP_K
    ) -> list[int]:
        import torch

        def hook(ids: Any, scores: Any) -> Any:
            step()
            return torch.zeros(rows, dtype=torch.bool)

        prompt = torch.full([rows, n_prompt], END_OF_TEXT)
        tokens = self.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=True,
            top_k=top_k,
            temperature=TEMPERATURE,
            max_new_tokens=length,
            pad_token_id=END_OF_TEXT,
            stopping_criteria=[hook],
        )
        return tokens[0, n_prompt:].tolist()
