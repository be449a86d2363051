"""The published configurations of well-known GPT-2 models, with small vocabularies and random
weights -> tests/data/published, with what transformers makes of them.

    pip install torch transformers sentencepiece
    python3 tools/make_published_fixtures.py

What each file says is as its authors published it, but for sizes, numbers of tokens and names of
people; vocabularies are trained here on a few words.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

TARGET = Path(__file__).resolve().parents[1] / "tests" / "data" / "published"
WORDS = [
    "Hello world, don't stop. The cat sat on the mat and the dog did not. Does it? café naïve 123",
    "Привет мир, как дела. Alter Wein schmeckt über alles.",
    "春眠不觉晓 天地 これは本です。 안녕하세요 세계",
] * 20
TEXTS = (
    "Hello world, don't  stop.\n\n 12", "naïve café 天地 🙂", "<|endoftext|>", "1<|endoftext|>2",
    "x <pad> y", "[CLS]春眠不觉晓[SEP]天", "<personb>hi", "  lead", "", "HELLO É", "これは本です。",
    "안녕하세요 <unused0>", "it 's a test . ok ?", "</s><s>a", "Привет", "über <mask> alles",
)  # fmt: skip
BERT = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] 。 ， ： “ ” ！ . , - ' 天 地 春 眠 不 觉 晓 hello world "
    "##ing ##s it s a test ok ? 12 1 ##2 h ##ello é e c ##a ##f ##e 本 で す こ れ は HELLO"
)
MARKS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
BERT_MARKS = {f"{kind}_token": f"[{kind.upper()}]" for kind in ("unk", "sep", "pad", "cls", "mask")}
OLD = {
    "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "embd_pdrop": 0.1,
    "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 23,
    "n_positions": 23, "n_embd": 8, "n_head": 2, "n_layer": 1, "resid_pdrop": 0.1,
    "summary_activation": None, "summary_first_dropout": 0.1, "summary_proj_to_labels": True,
    "summary_type": "cls_index", "summary_use_proj": True, "activation_function": "gelu_new",
}  # fmt: skip
Make = Callable[[Path], Mapping[str, Any]]
"""Fills a folder; gives what config.json has beyond OLD."""


def put(folder: Path, name: str, content: object) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=1)
    (folder / name).write_text(text + "\n", encoding="utf-8")


def byte_level(folder: Path, *special: str, whole: bool = False, pair: bool = True) -> int:
    """vocab.json and merges.txt, and if whole tokenizer.json -> the number of tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    if whole:
        tokenizer.save(str(folder / "tokenizer.json"))
    if pair:
        tokenizer.model.save(str(folder))
    return tokenizer.get_vocab_size()


def cerebras(folder: Path) -> Mapping[str, Any]:
    end = {
        "__type": "AddedToken", "content": "<|endoftext|>", "lstrip": False, "normalized": True,
        "rstrip": False, "single_word": False,
    }  # fmt: skip
    put(
        folder,
        "tokenizer_config.json",
        {
            "add_bos_token": False, "add_prefix_space": False, "bos_token": end, "eos_token": end,
            "errors": "replace", "model_max_length": 2048, "pad_token": None,
            "tokenizer_class": "GPT2Tokenizer", "unk_token": end,
        },
    )  # fmt: skip
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    put(folder, "special_tokens_map.json", names)
    size = byte_level(folder, "<|endoftext|>")
    return {
        "vocab_size": size, "activation_function": "gelu", "n_inner": 32, "bos_token_id": 0,
        "eos_token_id": 0, "reorder_and_upcast_attn": False, "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False, "torch_dtype": "float32", "use_cache": True,
    }  # fmt: skip


def dialogpt(folder: Path) -> Mapping[str, Any]:
    put(folder, "tokenizer_config.json", {"model_max_length": 1024})
    put(folder, "generation_config.json", {"bos_token_id": 0, "eos_token_id": 0})
    put(folder, "generation_config_for_conversational.json", {"max_length": 1000})
    size = byte_level(folder, "<|endoftext|>")
    task = {"conversational": {"max_length": 1000}}
    return {"vocab_size": size, "bos_token_id": 0, "eos_token_id": 0, "task_specific_params": task}


def distilgpt2(folder: Path) -> Mapping[str, Any]:
    put(folder, "tokenizer_config.json", {"model_max_length": 1024})
    size = byte_level(folder, "<|endoftext|>", whole=True)
    return {
        "vocab_size": size, "_num_labels": 1, "bos_token_id": 0, "eos_token_id": 0,
        "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0},
    }  # fmt: skip


def stanford(folder: Path) -> Mapping[str, Any]:
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    settings = {"add_prefix_space": False, "model_max_length": 1024, **names}
    put(folder, "tokenizer_config.json", {**settings, "tokenizer_class": "GPT2Tokenizer"})
    put(folder, "special_tokens_map.json", names)
    size = byte_level(folder, "<|endoftext|>", whole=True)
    return {
        "vocab_size": size, "bos_token_id": 0, "eos_token_id": 0, "n_inner": None,
        "reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True, "n_layer": 2,
    }  # fmt: skip


def rugpt3(folder: Path) -> Mapping[str, Any]:
    names = {**MARKS, "mask_token": "<mask>"}
    put(folder, "special_tokens_map.json", names)
    settings = {"add_prefix_space": False, "errors": "replace", "model_max_length": 2048}
    put(folder, "tokenizer_config.json", {**names, **settings, "tokenizer_class": "GPT2Tokenizer"})
    size = byte_level(folder, "<pad>", "<s>", "</s>", "<unk>", "<mask>")
    return {"vocab_size": size + 3, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def german(folder: Path) -> Mapping[str, Any]:
    mask = {
        "content": "<mask>", "single_word": False, "lstrip": True, "rstrip": False,
        "normalized": False,
    }  # fmt: skip
    names = {**MARKS, "sep_token": "</s>", "cls_token": "<s>", "mask_token": mask}
    put(folder, "special_tokens_map.json", names)
    put(folder, "tokenizer_config.json", {"max_len": 1024})
    size = byte_level(folder, "<s>", "<pad>", "</s>", "<unk>", "<mask>", whole=True)
    return {"vocab_size": size, "bos_token_id": 0, "eos_token_id": 2}


def persona(folder: Path) -> Mapping[str, Any]:
    """Added to a vocabulary, as many that were fine-tuned for dialogues have."""
    size = byte_level(folder, "<|endoftext|>")
    put(folder, "added_tokens.json", {"<persona>": size, "<personb>": size + 1})
    extra = {"additional_special_tokens": ["<persona>", "<personb>"]}
    put(folder, "special_tokens_map.json", extra)
    put(folder, "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer"})
    return {"vocab_size": size + 2, "bos_token_id": 0, "eos_token_id": [0, size + 1]}


def uer(folder: Path) -> Mapping[str, Any]:
    (folder / "vocab.txt").write_text("\n".join(BERT.split()) + "\n", encoding="utf-8")
    put(folder, "tokenizer_config.json", {**BERT_MARKS, "model_max_length": 1024})
    put(folder, "special_tokens_map.json", BERT_MARKS)
    return {
        "vocab_size": len(BERT.split()), "gradient_checkpointing": False, "output_past": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 320}},
        "tokenizer_class": "BertTokenizer", "bos_token_id": 50256, "eos_token_id": 50256,
    }  # fmt: skip


def ckip(folder: Path) -> Mapping[str, Any]:
    (folder / "vocab.txt").write_text("\n".join(BERT.split()) + "\n", encoding="utf-8")
    settings = {"tokenize_chinese_chars": True, "strip_accents": None, "do_lower_case": False}
    put(folder, "tokenizer_config.json", {**settings, "model_max_length": 512})
    put(folder, "special_tokens_map.json", BERT_MARKS)
    return {
        "vocab_size": len(BERT.split()), "bos_token_id": 2, "eos_token_id": 3,
        "tokenizer_class": "BertTokenizerFast",
    }  # fmt: skip


def kogpt2(folder: Path) -> Mapping[str, Any]:
    """Its card loads it as a PreTrainedTokenizerFast; no file says so."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<s>", "</s>", "<usr>", "<pad>", "<sys>", "<unk>", "<mask>", "<d>", "<unused0>"]
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(WORDS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return {
        "vocab_size": tokenizer.get_vocab_size(), "bos_token_id": 0, "eos_token_id": 1,
        "pad_token_id": 3, "_num_labels": 1,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    }  # fmt: skip


def rinna(folder: Path) -> Mapping[str, Any]:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS), model_writer=model, vocab_size=84, unk_id=0, bos_id=1,
        eos_id=2, pad_id=3, pad_piece="[PAD]", minloglevel=2,
        user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"],
    )  # fmt: skip
    (folder / "spiece.model").write_bytes(model.getvalue())
    marks = {
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "[PAD]",
        "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]",
    }  # fmt: skip
    settings = {"extra_ids": 0, "additional_special_tokens": [], "do_lower_case": True}
    put(folder, "tokenizer_config.json", {**marks, **settings, "tokenizer_class": "T5Tokenizer"})
    put(folder, "special_tokens_map.json", marks)
    return {"vocab_size": 84, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}


PUBLISHED: Mapping[str, Make] = {
    make.__name__: make
    for make in (
        cerebras, dialogpt, distilgpt2, stanford, rugpt3, german, persona, uer, ckip, kogpt2, rinna,
    )
}  # fmt: skip


def main() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    expected, logits = {}, {}
    for number, (name, make) in enumerate(PUBLISHED.items()):
        folder = TARGET / name
        folder.mkdir(parents=True)
        config = {**OLD, **make(folder)}
        torch.manual_seed(number)
        model = GPT2LMHeadModel(GPT2Config(**{**config, "initializer_range": 0.3})).eval()
        model.save_pretrained(folder)
        put(folder, "config.json", config)
        if name != "dialogpt":
            (folder / "generation_config.json").unlink()
        tokenizer = library_tokenizer(name, folder)
        texts = {}
        for text in TEXTS:
            ids = tokenizer.encode(text, add_special_tokens=False)
            texts[text] = {"ids": ids, "text": tokenizer.decode(ids)}
        expected[name] = texts
        prompt = texts[TEXTS[0]]["ids"][:11]
        with torch.no_grad():
            logits[name] = model(torch.tensor([prompt])).logits[0].numpy()
    put(TARGET, "expected.json", expected)
    np.savez_compressed(TARGET / "expected.npz", **logits)


def library_tokenizer(name: str, folder: Path) -> Any:
    if name == "kogpt2":
        return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if name == "rinna":  # as the command that its error names converts it
        converted = folder.with_name("rinna-converted")
        shutil.copytree(folder, converted)
        special = {n: str(v) for n, v in tokenizer.special_tokens_map.items() if isinstance(v, str)}
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, **special)
        fast.save_pretrained(converted)
        (converted / "spiece.model").unlink()
    return tokenizer


if __name__ == "__main__":
    main()
