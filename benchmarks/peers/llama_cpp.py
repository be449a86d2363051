"""llama.cpp, as a peer, through its C API: the Python classes above it know no batch."""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import ctypes
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.peers.peer import END_OF_TEXT, SEED, TEMPERATURE, TOP_K, Peer, Step, Texts


class LlamaCpp(Peer):
    """Its defaults: a cache in float16, one for each row, which llama.h advises for rows that do
    not begin alike, and is faster."""

    module, program, sampler = "llama_cpp", "llama.cpp", "C++"
    cache_bytes = 2

    def convert(self, folder: Path, target: Path) -> None:
        import gguf

        from gpt2_sampler.weights.checkpoint import open_checkpoint

        checkpoint = open_checkpoint(folder)
        h = checkpoint.hparams
        kind = getattr(gguf.GGMLQuantizationType, self.precision.upper())
        writer = gguf.GGUFWriter(target, "gpt2")
        writer.add_context_length(h.n_ctx)
        writer.add_embedding_length(h.n_embd)
        writer.add_feed_forward_length(4 * h.n_embd)
        writer.add_block_count(h.n_layer)
        writer.add_head_count(h.n_head)
        writer.add_layer_norm_eps(1e-5)
        ids = json.loads((folder / "encoder.json").read_text("utf-8"))
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(sorted(ids, key=ids.__getitem__))
        control = [gguf.TokenType.CONTROL]
        writer.add_token_types([gguf.TokenType.NORMAL] * (len(ids) - 1) + control)
        writer.add_token_merges((folder / "vocab.bpe").read_text("utf-8").split("\n")[1:-1])
        writer.add_bos_token_id(len(ids) - 1)
        writer.add_eos_token_id(len(ids) - 1)
        for name, array in (gguf_tensor(*item) for item in checkpoint.items()):
            if array.ndim == 2 and name != "position_embd.weight":
                writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def load(self, folder: Path, target: Path, threads: int) -> None:
        import llama_cpp

        @llama_cpp.llama_log_callback
        def quiet(level: int, text: bytes, user_data: Any) -> None:
            pass

        self.c, self.threads, self.quiet = llama_cpp, threads, quiet
        self.rows, self.context, self.engine_seconds = 0, None, 0.0
        llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            bytes(target), llama_cpp.llama_model_default_params()
        )
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {target}")
        self.n_ctx = llama_cpp.llama_model_n_ctx_train(self.model)
        vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(vocab)

    def reset(self, rows: int) -> None:
        """An empty cache for so many rows."""
        if self.rows == rows:
            self.c.llama_memory_clear(self.c.llama_get_memory(self.context), False)
            return
        if self.context:
            self.c.llama_free(self.context)
        params = self.c.llama_context_default_params()
        params.n_seq_max, params.n_ctx = rows, rows * self.n_ctx
        params.n_threads = params.n_threads_batch = self.threads
        self.rows, self.context = rows, self.c.llama_init_from_model(self.model, params)
        if not self.context:
            raise RuntimeError("llama.cpp makes no context")

    def add(self, texts: Sequence[Sequence[int]], start: int) -> None:
        """Reads the next tokens of every row, at positions start, start + 1, ..."""
        self.read_parts([(row, start, text) for row, text in enumerate(texts)])

    def read_parts(self, parts: Sequence[tuple[int, int, Sequence[int]]]) -> list[int]:
        """Reads tokens of some rows: a row, the position of its first one, the tokens -> where in
        the batch each part's last token is, after which there are logits."""
        size = sum(len(text) for _, _, text in parts)
        batch = self.c.llama_batch_init(size, 0, 1)
        batch.n_tokens = size
        i, last = 0, list[int]()
        for row, start, text in parts:
            for at, token in enumerate(text):
                batch.token[i], batch.pos[i] = token, start + at
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, row
                batch.logits[i] = at == len(text) - 1
                i += 1
            last.append(i - 1)
        began = time.perf_counter()
        failed = self.c.llama_decode(self.context, batch)
        self.engine_seconds = (self.engine_seconds or 0) + time.perf_counter() - began
        self.c.llama_batch_free(batch)
        if failed:
            raise RuntimeError(f"llama_decode gave {failed}")
        return last

    def share(self, n_prompt: int, rows: int) -> int:
        """Reads a prompt in the first row and copies it to the others -> its tokens."""
        if n_prompt:
            self.add([[END_OF_TEXT] * n_prompt], 0)
            for row in range(1, rows):
                memory = self.c.llama_get_memory(self.context)
                self.c.llama_memory_seq_cp(memory, 0, row, -1, -1)
        return n_prompt

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        self.reset(1)
        return self.go_on(tokens, 0)

    def go_on(self, tokens: Sequence[int], start: int) -> np.ndarray:
        """Reads the only row's next tokens -> the logits after the last of them, [V]."""
        self.add([tokens], start)
        pointer = self.c.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(pointer, [self.n_vocab]).copy()

    def generate(
        self, n_prompt: int, length: int, rows: int, step: Step, top_k: int = TOP_K
    ) -> list[int]:
        c, chain = self.c, self.sampler_chain(top_k)
        self.reset(rows)
        start = self.share(n_prompt - 1, rows) if rows > 1 else 0
        texts = [[END_OF_TEXT] * (n_prompt - start)] * rows
        tokens: list[int] = []
        while len(tokens) < length:
            self.add(texts, start)
            start += len(texts[0])
            last = range(len(texts[0]) - 1, rows * len(texts[0]), len(texts[0]))
            texts = [[c.llama_sampler_sample(chain, self.context, i)] for i in last]
            tokens.append(texts[0][0])
            step()
        c.llama_sampler_free(chain)
        return tokens

    def sampler_chain(self, top_k: int) -> Any:
        c = self.c
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        for sampler in (
            c.llama_sampler_init_top_k(top_k),
            c.llama_sampler_init_temp(TEMPERATURE),
            c.llama_sampler_init_dist(SEED),
        ):
            c.llama_sampler_chain_add(chain, sampler)
        return chain

    def continue_all(self, texts: Texts, rows: int) -> int:
        """So many at once: each prompt is read by itself, then a token of each a step."""
        chain = self.sampler_chain(TOP_K)
        n_tokens = 0
        for first in range(0, len(texts), rows):
            self.reset(rows)
            going = dict(enumerate(texts[first : first + rows]))
            parts = [[(row, 0, prompt)] for row, (prompt, _) in going.items()]
            drawn = 0
            while going:
                tokens = {}
                for part in parts:
                    for (row, _, _), last in zip(part, self.read_parts(part), strict=True):
                        tokens[row] = self.c.llama_sampler_sample(chain, self.context, last)
                drawn += 1
                n_tokens += len(tokens)
                going = {row: text for row, text in going.items() if drawn < text[1]}
                at = {row: len(prompt) + drawn - 1 for row, (prompt, _) in going.items()}
                parts = [[(row, at[row], [tokens[row]]) for row in going]]
        self.c.llama_sampler_free(chain)
        return n_tokens


GGUF_NAMES = {
    "wte": "token_embd.weight",
    "wpe": "position_embd.weight",
    "ln_f": "output_norm",
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
    "attn/c_attn": "attn_qkv",
    "attn/c_proj": "attn_output",
    "mlp/c_fc": "ffn_up",
    "mlp/c_proj": "ffn_down",
}


def gguf_tensor(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """OpenAI's name and array -> llama.cpp's; a matrix is [O, I] there. The output matrix is
    left out: it is the token embedding's."""
    if name in GGUF_NAMES:
        return GGUF_NAMES[name], array
    path, last = name.rsplit("/", 1)
    block, _, inner = path.partition("/")
    new = f"blk.{block[1:]}.{GGUF_NAMES[inner]}" if inner else GGUF_NAMES[path]
    if last == "w":
        return f"{new}.weight", np.ascontiguousarray(array.T)
    return f"{new}.{'weight' if last == 'g' else 'bias'}", array
