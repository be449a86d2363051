"""Programs that sample from GPT-2, each behind the same few verbs, for bench_decode.py.

Knows how to convert a checkpoint for each, to load it and to generate; takes no time. A prompt
is as many end-of-text tokens as asked for: what a token costs does not depend on which it is.
"""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import abc
import ctypes
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

if TYPE_CHECKING:
    from gpt2_sampler import Engine

TOP_K, TEMPERATURE, SEED = 40, 0.7, 1
END_OF_TEXT = 50256
BYTES = {"float32": 4, "f32": 4, "f16": 2, "q8_0": 34 / 32, "int8": 1}
"""Of a weight. q8_0 has a scale of 2 bytes for every 32 weights."""

Step = Callable[[], None]


class Peer(abc.ABC):
    """sampler says what the program's own sampler runs in, engine_seconds how long the model's
    part of generating took so far, for those that can tell it apart."""

    module: str
    program: str
    sampler: str
    starts_slowly = False
    engine_seconds: float | None = None

    def __init__(self, precision: str = "float32") -> None:
        self.precision = precision

    @property
    def name(self) -> str:
        return f"{self.program} {self.precision}"

    def convert(self, folder: Path, target: Path) -> None:
        """Writes what load() needs of an OpenAI checkpoint folder at target, a path that is not
        there yet. A program that needs nothing of its own writes nothing."""
        return

    @abc.abstractmethod
    def load(self, folder: Path, target: Path, threads: int) -> None: ...

    @abc.abstractmethod
    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """After the last of some tokens -> [V]."""

    @abc.abstractmethod
    def generate(
        self, n_prompt: int, length: int, rows: int, step: Step, top_k: int = TOP_K
    ) -> list[int]:
        """Reads the prompt, then samples length tokens for each row; calls step when the rows
        have their next token. -> the first row's."""

    def read(self, n_prompt: int) -> None:
        """Reads the prompt, up to the next token's choice."""
        self.generate(n_prompt, 1, 1, lambda: None)


class LiteRT(Peer):
    module, program, sampler = "ai_edge_litert", "gpt2-sampler", "NumPy"

    def load(self, folder: Path, target: Path, threads: int) -> None:
        from gpt2_sampler import load_engine

        self.take(load_engine(folder, "cpu", self.precision, threads))

    def take(self, engine: Engine) -> None:
        """With a stopwatch on its decode()."""
        decode = engine.decode
        self.engine_seconds = 0.0

        def timed(*args: Any) -> np.ndarray:
            start = time.perf_counter()
            logits = decode(*args)
            self.engine_seconds = (self.engine_seconds or 0) + time.perf_counter() - start
            return logits

        engine.decode = timed  # type: ignore[method-assign, assignment]
        engine.reset(1)
        self.engine = engine

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        return self.engine.logits(tokens)[-1]

    def generate(
        self, n_prompt: int, length: int, rows: int, step: Step, top_k: int = TOP_K
    ) -> list[int]:
        from gpt2_sampler import Sampling, generate

        prompt, tokens = [END_OF_TEXT] * n_prompt, []
        settings: Any = {"length": length, "rows": rows, "seed": SEED}
        settings["sampling"] = Sampling(TEMPERATURE, top_k)
        for sample, token, _ in generate(self.engine, prompt, range(rows), **settings):
            if sample == 0:
                tokens.append(token)
            if sample == rows - 1:
                step()
        return tokens

    def read(self, n_prompt: int) -> None:
        self.engine.read([END_OF_TEXT] * n_prompt, [0])


class TensorFlow(LiteRT):
    module, program = "tensorflow", "gpt2-sampler TensorFlow"
    starts_slowly = True

    def load(self, folder: Path, target: Path, threads: int) -> None:
        from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine, tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.take(TensorFlowEngine(folder, "cpu"))


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
            state[key] = torch.tensor(array[0] if last == "w" else array)
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


class LlamaCpp(Peer):
    """Through the C API: the Python classes above it know no batch."""

    module, program, sampler = "llama_cpp", "llama.cpp", "C++"

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
        writer.add_bos_token_id(END_OF_TEXT)
        writer.add_eos_token_id(END_OF_TEXT)
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
        size, length = len(texts) * len(texts[0]), len(texts[0])
        batch = self.c.llama_batch_init(size, 0, 1)
        batch.n_tokens = size
        for i in range(size):
            row, at = divmod(i, length)
            batch.token[i], batch.pos[i] = texts[row][at], start + at
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, row
            batch.logits[i] = at == length - 1
        began = time.perf_counter()
        failed = self.c.llama_decode(self.context, batch)
        self.engine_seconds = (self.engine_seconds or 0) + time.perf_counter() - began
        self.c.llama_batch_free(batch)
        if failed:
            raise RuntimeError(f"llama_decode gave {failed}")

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        self.reset(1)
        self.add([tokens], 0)
        pointer = self.c.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(pointer, [self.n_vocab]).copy()

    def generate(
        self, n_prompt: int, length: int, rows: int, step: Step, top_k: int = TOP_K
    ) -> list[int]:
        c = self.c
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        for sampler in (
            c.llama_sampler_init_top_k(top_k),
            c.llama_sampler_init_temp(TEMPERATURE),
            c.llama_sampler_init_dist(SEED),
        ):
            c.llama_sampler_chain_add(chain, sampler)
        self.reset(rows)
        texts, start = [[END_OF_TEXT] * n_prompt] * rows, 0
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
        return f"{new}.weight", np.ascontiguousarray(array[0].T)
    return f"{new}.{'weight' if last == 'g' else 'bias'}", array


ALL = (
    LiteRT("int8"),
    LiteRT("float32"),
    TensorFlow(),
    Transformers(),
    CTranslate2("int8"),
    CTranslate2("float32"),
    LlamaCpp("q8_0"),
    LlamaCpp("f16"),
    LlamaCpp("f32"),
)
PEERS = {peer.name: peer for peer in ALL}
