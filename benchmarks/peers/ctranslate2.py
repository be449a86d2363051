"""CTranslate2, as a peer."""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.peers.peer import TEMPERATURE, TOP_K, Peer, Step, Texts
from benchmarks.peers.pytorch import Transformers


class CTranslate2(Peer):
    module, program, sampler = "ctranslate2", "CTranslate2", "C++"

    def convert(self, folder: Path, target: Path) -> None:
        from ctranslate2.converters import TransformersConverter

        source = target.with_name("for-ctranslate2")
        shutil.rmtree(source, ignore_errors=True)
        Transformers().convert(folder, source)
        TransformersConverter(str(source)).convert(str(target), quantization=self.precision)
        shutil.rmtree(source)

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
