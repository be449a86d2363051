"""Both readers, transformers and ours, are given the same folders with mutated JSON.

    PYTHONPATH=src python3 -m tests.long.differential        # in an environment with transformers
    PYTHONPATH=src python3 -m tests.long.differential german tokenizer.json

Each key that either reader knows is left out, null, or has another value. What transformers reads
must come out the same here, ids, text, ends and logits, or be refused in one line. What is known
to differ: a tokenizer.json that is no byte-level BPE and has no class by its side is taken for what
it says, as KoGPT2's card does, where AutoTokenizer makes a GPT2Tokenizer of it.
"""

from __future__ import annotations

import collections
import copy
import functools
import json
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_sampler import load_engine, load_tokenizer
from gpt2_sampler.errors import SamplerError
from gpt2_sampler.tokenizer.wordpiece import WordPieces
from tests.checkpoints import DATA

PUBLISHED = DATA / "published"
NAMES = (
    "cerebras", "dialogpt", "distilgpt2", "stanford", "rugpt3", "german", "persona", "uer", "ckip",
    "kogpt2", "rinna-converted",
)  # fmt: skip
TEXTS = (
    "Hello world, don't  stop.\n\n 12", "naïve café 天地 🙂", "<|endoftext|>", "1<|endoftext|>2",
    "x <pad> y", "[CLS]春眠不觉晓[SEP]天", "<personb>hi", "a <s> b </s>c", "  lead", "", "HELLO É",
    "これは本です。", "안녕하세요 <unused0>", "it 's a test . ok ?", "a <mask> b<new>c <new> d",
)  # fmt: skip
MARKS = tuple(f"{kind}_token" for kind in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
TOKENS: tuple[Any, ...] = (
    "<s>", "<new>", "", 3, ["<s>"], {"content": "<new>"},
    {"__type": "AddedToken", "content": "<new>", "lstrip": True, "rstrip": False,
     "single_word": False, "normalized": False, "special": True},
    {"__type": "AddedToken", "content": "<s>", "lstrip": True, "rstrip": True,
     "single_word": False, "normalized": True},
)  # fmt: skip
CHOICES: tuple[Any, ...] = (True, False, 1, "true")
SETTINGS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(MARKS, TOKENS),
    **dict.fromkeys(
        ("add_bos_token", "add_eos_token", "add_prefix_space", "do_lower_case", "strip_accents",
         "tokenize_chinese_chars", "clean_up_tokenization_spaces", "split_special_tokens",
         "use_fast", "legacy", "from_slow", "trim_offsets", "do_basic_tokenize", "keep_accents",
         "remove_space", "spaces_between_special_tokens"), CHOICES,
    ),
    "tokenizer_class": (
        "GPT2Tokenizer", "GPT2TokenizerFast", "BertTokenizer", "BertTokenizerFast",
        "PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend", "PythonBackend",
        "T5Tokenizer", "RobertaTokenizer", "BartTokenizer", "LlamaTokenizer", "XLMRobertaTokenizer",
        "AlbertTokenizer", "CodeGenTokenizer", "GPTNeoXTokenizerFast", "BertJapaneseTokenizer",
        "CpmTokenizer", "ElectraTokenizer", "DistilBertTokenizer", "NoSuchTokenizer", "", 3, [],
    ),
    "auto_map": ({"AutoTokenizer": ["x.X", None]}, ["x.X", None], {}, {"AutoModel": "x.X"}),
    "additional_special_tokens": (["<new>"], [TOKENS[6]], [], "<new>", {"a": "<new>"}),
    "extra_special_tokens": (["<new>"], {"image_token": "<new>"}, [], {}, "<new>"),
    "added_tokens_decoder": (
        {}, {"0": TOKENS[6]}, {"7": TOKENS[7]}, {"9999": TOKENS[6]}, {"5": {"content": "é"}},
    ),
    "errors": ("strict", "ignore", "replace"),
    "padding_side": ("left",), "truncation_side": ("left",), "model_max_length": (3, 1e30),
    "never_split": (["hello"], []), "extra_ids": (2, 0), "unk_id": (3,),
    "model_input_names": (["x"],), "chat_template": ("x",), "name_or_path": ("gpt2",),
    "backend": ("tokenizers", "sentencepiece"), "is_local": (True,), "normalizer": ("x",),
    "special_tokens_map_file": ("x",), "vocab_file": ("x",), "tokenizer_file": ("x", None),
    "init_inputs": ([],), "vocab": ({"a": 0},), "merges": ([],), "max_length": (3,),
    "truncation": (True,), "padding": (True,), "pad_to_multiple_of": (8,), "stride": (1,),
}  # fmt: skip
"""tokenizer_config.json's keys -> values."""
SIZES: tuple[Any, ...] = (0, 1, -1, 2, 1.5, "2", [2], True)
NUMBERS: tuple[Any, ...] = (0, 1, -1, 2, 50256, 1.5, "2", [2], [1, 2], [], True)
CONFIG: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2", "llama", "gpt_neo", "GPT2", "", 3),
    "architectures": (["GPT2LMHeadModel"], ["GPT2Model"], ["LlamaForCausalLM"], [], "GPT2"),
    "tokenizer_class": ("GPT2Tokenizer", "BertTokenizer", "T5Tokenizer", ""),
    "activation_function": (
        "gelu", "gelu_new", "gelu_fast", "gelu_python", "gelu_pytorch_tanh", "gelu_accurate",
        "quick_gelu", "relu", "relu2", "relu6", "silu", "swish", "tanh", "sigmoid", "mish",
        "linear", "leaky_relu", "gelu_10", "laplace", "xielu", "prelu", "x", "", 3,
    ),
    **dict.fromkeys(
        ("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn",
         "tie_word_embeddings", "add_cross_attention", "is_decoder", "is_encoder_decoder",
         "use_cache", "tie_encoder_decoder", "use_bias", "qk_norm", "pruned_heads"),
        (True, False, 1, 0, "true", {}),
    ),
    **dict.fromkeys(
        ("n_embd", "n_head", "n_layer", "n_positions", "n_ctx", "n_inner", "vocab_size",
         "hidden_size", "num_attention_heads", "num_hidden_layers", "max_position_embeddings",
         "intermediate_size"), (*SIZES, 8, 32, 23),
    ),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), NUMBERS),
    **dict.fromkeys(("layer_norm_epsilon", "layer_norm_eps"), (1e-12, 1e-1, 0, -1, "1e-5", True)),
    "dtype": ("float16", "bfloat16", "float32", "auto", "x"),
    "torch_dtype": ("float16", "bfloat16", "float32", "x"),
    "quantization_config": ({"load_in_8bit": True}, {}), "rope_scaling": ({"type": "linear"},),
    "rope_parameters": ({"rope_theta": 1.0},), "text_config": ({"n_embd": 16}, {}),
    "attn_implementation": ("eager",), "_attn_implementation": ("sdpa",), "attn_pdrop": (0.5, "x"),
    "sliding_window": (2,), "layer_types": (["sliding_attention"],),
    "auto_map": ({"AutoModelForCausalLM": "x.X"},),
}  # fmt: skip
GENERATION: dict[str, tuple[Any, ...]] = {
    "eos_token_id": NUMBERS,
    "bos_token_id": NUMBERS,
    "pad_token_id": NUMBERS,
}
ADDED: dict[str, tuple[Any, ...]] = {"<new>": (0, 300, 301, 302, -1, "x"), "<s>": (0, 302, 303)}
LIBRARY: dict[str, tuple[Any, ...]] = {
    "normalizer": (
        {"type": "Lowercase"}, {"type": "NFKC"}, {"type": "Prepend", "prepend": "▁"},
        {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]},
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
         "strip_accents": None, "lowercase": True},
    ),
    "pre_tokenizer": (
        {"type": "Whitespace"}, {"type": "BertPreTokenizer"}, {"type": "WhitespaceSplit"},
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}]},
    ),
    "decoder": (
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "Fuse"},
        {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "ByteFallback"},
    ),
    "post_processor": (
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
         {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<s>", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
        {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": True,
         "add_prefix_space": False},
        {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]},
    ),
    "truncation": (
        {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
    ),
    "padding": ({"strategy": {"Fixed": 30}, "direction": "Right", "pad_to_multiple_of": None,
                 "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"},),
    "version": ("1.0", "2.0"), "added_tokens": ([],),
    "type": ("BPE", "WordPiece", "WordLevel", "Unigram"), "dropout": (0.0, 1.0),
    "unk_token": ("<s>", "<new>", ""), "continuing_subword_prefix": ("##", ""),
    "end_of_word_suffix": ("</w>", ""), "vocab": ({}, []), "merges": ([],),
    "max_input_chars_per_word": (3,), "unk_id": (0, 3), "byte_fallback": (True,),
    **dict.fromkeys(
        ("fuse_unk", "ignore_merges", "add_prefix_space", "use_regex", "trim_offsets",
         "lstrip", "rstrip", "normalized", "single_word", "special"), (True, False),
    ),
    "content": ("<new>", "é", "a b", ""), "id": (0, 7, 9999),
}  # fmt: skip
"""tokenizer.json's keys, wherever they stand -> values."""
KEYS = {
    "tokenizer_config.json": SETTINGS, "config.json": CONFIG,
    "special_tokens_map.json": {
        name: SETTINGS[name]
        for name in (*MARKS, "additional_special_tokens", "extra_special_tokens")
    },
    "generation_config.json": GENERATION, "added_tokens.json": ADDED, "tokenizer.json": LIBRARY,
}  # fmt: skip


def mutations(name: str, content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What was changed, and the JSON with that change."""
    for key in dict.fromkeys([*content, *KEYS[name]]):
        if name == "tokenizer.json" and key not in content:
            continue
        values = (None, *KEYS[name].get(key, ()))
        for value in values:
            yield f"{key}={json.dumps(value)[:90]}", {**content, key: value}
        if key in content:
            yield f"no {key}", {k: v for k, v in content.items() if k != key}
    if name == "tokenizer.json":
        for part in ("model", "pre_tokenizer", "normalizer", "decoder", "added_tokens"):
            inner = content.get(part)
            if not inner:
                continue
            at = inner[-1] if isinstance(inner, list) else inner
            for key in dict.fromkeys([*at, *(k for k in LIBRARY if k in at or part == "model")]):
                for value in (None, *LIBRARY.get(key, ())):
                    new = copy.deepcopy(content)
                    place = new[part][-1] if isinstance(inner, list) else new[part]
                    place[key] = value
                    yield f"{part}.{key}={json.dumps(value)[:90]}", new
                if key in at:
                    new = copy.deepcopy(content)
                    place = new[part][-1] if isinstance(inner, list) else new[part]
                    del place[key]
                    yield f"no {part}.{key}", new


def theirs_tokens(folder: Path) -> dict[str, Any]:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if folder.name.startswith("kogpt2"):  # as its card loads it
        tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder))
    else:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    encode = functools.partial(tokenizer.encode, truncation=False, padding=False)
    text, whole = encode(TEXTS[0], add_special_tokens=False), encode(TEXTS[0])
    before = whole[: next(n for n in range(len(whole)) if whole[n : n + len(text)] == text)]
    rows = {}
    for text in TEXTS:
        without = encode(text, add_special_tokens=False)
        rows[text] = (before, without, tokenizer.decode(without))
    return rows


def theirs_model(folder: Path, tokens: list[int]) -> tuple[Any, np.ndarray]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    kind = AutoConfig.from_pretrained(str(folder)).model_type
    if kind != "gpt2":  # which would be made with weights drawn at random, gigabytes of them
        raise TypeError(f"a {kind}")
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].numpy()
    return model.generation_config.eos_token_id, logits


def compared_tokens(folder: Path) -> str:
    """ "same", "refused", "both refuse", "only ours", or what differs."""
    try:
        theirs = theirs_tokens(folder)
    except BaseException as error:  # Rust's panics are no Exceptions
        theirs, why = None, f"{type(error).__name__}: {error!s:.80}"
    try:
        ours = load_tokenizer(folder)
        rows = {text: ours.encode(text) for text in TEXTS}
    except SamplerError as error:
        assert "\n" not in str(error)
        return "both refuse" if theirs is None else f"refused: {error}"
    if theirs is None:
        return f"only ours: {why}"
    for text, (before, without, decoded) in theirs.items():
        expected = without if isinstance(ours, WordPieces) else before + without
        if rows[text] != expected:
            return f"DIFFER ids of {text!r}: {rows[text]} not {expected}"
        if not isinstance(ours, WordPieces) and ours.decode(without) != decoded:
            return f"DIFFER text of {text!r}: {ours.decode(without)!r} not {decoded!r}"
    return "same"


def compared_model(folder: Path, tokens: list[int]) -> str:
    try:
        end, logits = theirs_model(folder, tokens)
    except BaseException as error:
        end, logits, why = None, None, f"{type(error).__name__}: {error!s:.80}"
    try:
        engine = load_engine(folder, "cpu")
        mine = engine.logits(tokens)
        ends = load_tokenizer(folder).ends
    except SamplerError as error:
        assert "\n" not in str(error)
        return "both refuse" if logits is None else f"refused: {error}"
    if logits is None:
        return f"only ours: {why}"
    if mine.shape != logits.shape or not np.allclose(mine, logits, rtol=0, atol=1e-4):
        gap = np.abs(mine - logits).max() if mine.shape == logits.shape else mine.shape
        return f"DIFFER logits: {gap}"
    named = end if isinstance(end, list) else [end]
    wanted = {n for n in named if type(n) is int and 0 <= n < mine.shape[1]}
    if wanted and ends != wanted:  # else they are guessed
        return f"DIFFER ends: {set(ends)} not {wanted}"
    return "same"


def compare(name: str, file: str) -> Iterator[tuple[str, str]]:
    """Each change to the file, and what came of it."""
    good = PUBLISHED / name
    content = json.loads((good / file).read_text("utf-8")) if (good / file).is_file() else {}
    if not content and file in ("tokenizer.json", "config.json"):
        return
    model = file in ("config.json", "generation_config.json")
    tokens = load_tokenizer(good).encode(TEXTS[0])[:7] if model else []
    look = functools.partial(compared_model, tokens=tokens) if model else compared_tokens
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(shutil.copytree(good, Path(temporary) / f"{name}-x"))
        for change, new in [("nothing", content), *mutations(file, content)]:
            if change == "nothing" and not content:
                (work / file).unlink(missing_ok=True)
            else:
                (work / file).write_text(json.dumps(new), encoding="utf-8")
            try:
                yield change, look(work)
            except Exception as error:
                yield change, f"DIFFER: {error!r}"


def main(names: tuple[str, ...] = NAMES, files: tuple[str, ...] = tuple(KEYS)) -> None:
    import transformers

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    report: collections.Counter[str] = collections.Counter()
    for name in names:
        for file in files:
            for change, outcome in compare(name, file):
                report[outcome.partition(":")[0].partition(" of ")[0]] += 1
                if not outcome.startswith(("same", "both")):
                    line = f"{name}/{file}: {change}: {outcome}"[:400]
                    print(line.replace("\n", " "), flush=True)
    print(dict(report))


if __name__ == "__main__":
    chosen = set(sys.argv[1:])
    main(
        tuple(n for n in NAMES if n in chosen) or NAMES,
        tuple(f for f in KEYS if f in chosen) or tuple(KEYS),
    )
