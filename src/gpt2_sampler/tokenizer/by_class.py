"""A Hugging Face folder -> its tokenizer, put together as transformers does.

Knows what each class does with what the files say. What a class does that is not known here is
refused by name, never guessed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gpt2_sampler.errors import CheckpointError, first_line
from gpt2_sampler.files import quote, read_text
from gpt2_sampler.packages import require
from gpt2_sampler.tokenizer.bounds import require_bounded
from gpt2_sampler.tokenizer.byte_level import (
    OTHER_WORDS,
    Encoder,
    parse_merges,
)
from gpt2_sampler.tokenizer.declared import (
    AS_SAVED,
    BERT,
    GPT2,
    TOKENIZER_NAME,
    VOCABULARY_MERGES_NAME,
    Folder,
    content,
    part,
)
from gpt2_sampler.tokenizer.library import Subwords, library_errors
from gpt2_sampler.tokenizer.markers import mark, tokens_before
from gpt2_sampler.tokenizer.wordpiece import CONTINUES, WordPieces

OWN_WORDS = {"BertJapaneseTokenizer": "MeCab", "CpmTokenizer": "jieba"}
"""Classes that find words by programs of their own."""
BYTE_LEVEL = {
    "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True,
}  # fmt: skip
EMPTY: Mapping[str, Any] = {"normalizer": None, "pre_tokenizer": None, "decoder": None}
UNLIKE = ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
"""Settings of BPE that OpenAI's has not."""

S = TypeVar("S", bound=Subwords)


def load_folder(path: Path) -> Encoder | Subwords:
    """Raises CheckpointError for a folder whose tokenizer is damaged, of a class that is not known
    here, or one for the package tokenizers where that is not installed."""
    folder = Folder(path)
    if folder.kind == GPT2:
        tokenizer = byte_level(folder)
    elif folder.kind == BERT:
        tokenizer = bert(folder)
    elif folder.kind in AS_SAVED and folder.saved:
        tokenizer = plain(folder.saved, folder) or as_saved(folder)
    else:
        raise CheckpointError(refusal(folder))
    tokenizer.special_tokens = not folder.choice("split_special_tokens")
    mark(tokenizer, folder)
    return tokenizer


def byte_level(folder: Folder) -> Encoder | Subwords:
    """GPT-2's: of tokenizer.json the vocabulary, the merges and what it adds around a text."""
    model = part(folder.saved, "model")
    if folder.saved and model.get("type") != "BPE":
        raise CheckpointError(
            f"{folder.path / TOKENIZER_NAME} is a {model.get('type')!s:.40}, and its class {GPT2} "
            "takes a BPE"
        )
    vocabulary, file = folder.vocabulary, folder.path / VOCABULARY_MERGES_NAME
    merges = join_merges(model["merges"]) if folder.saved else parse_merges(read_text(file))
    saved = {
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": folder.choice("add_prefix_space"),
            "trim_offsets": True,
            "use_regex": True,
        },
        "decoder": BYTE_LEVEL,
        "post_processor": part(folder.saved, "post_processor") or around(folder),
    }
    return plain(saved, folder) or through_library(Subwords, saved, folder)


def around(folder: Folder) -> dict[str, Any] | None:
    """What is added before and after a text where no tokenizer.json says it."""
    if folder.saved or not folder.choice("add_bos_token"):
        return None
    bos = content(folder.settings.get("bos_token"))
    single = [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": single} if bos else None


def plain(saved: Mapping[str, Any], folder: Folder) -> Encoder | None:
    """The tokenizer without the library, where it does what OpenAI's two files would, beside tokens
    that are added; else None."""
    model = part(saved, "model")
    added_tokens = folder.added_tokens()
    if (
        model.get("type") != "BPE"
        or not splits_as_openai(part(saved, "pre_tokenizer"))
        or steps(saved.get("normalizer"), "normalizers")
        or any(model.get(name) for name in (*UNLIKE, "ignore_merges"))
        or not all(token.simple for token in added_tokens)
    ):
        return None
    vocabulary = dict(model["vocab"])
    number = len(vocabulary)
    for token in added_tokens:
        if token.content not in vocabulary:
            vocabulary[token.content] = number
            number += 1
    special = {token.content: token.special for token in added_tokens}
    try:
        tokenizer = Encoder(vocabulary, join_merges(model["merges"]), added=special)
    except CheckpointError:  # such as one without a symbol for every byte
        return None
    tokenizer.before = tuple(tokens_before(saved, vocabulary))
    return tokenizer


def splits_as_openai(rule: Mapping[str, Any]) -> bool:
    """Whether a pre_tokenizer splits a text into words by OpenAI's pattern, and them into bytes."""
    *before, last = steps(rule, "pretokenizers") or [{}]
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space", True):
        return False
    if not before:
        return bool(last.get("use_regex", True))
    same = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}
        for pattern in OTHER_WORDS
        for behavior, invert in (("Isolated", False), ("Removed", True))
    ]
    return len(before) == 1 and before[0] in same and last.get("use_regex") is False


def steps(rule: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    """The rules that one rule of tokenizer.json consists of, those of its sequences under name."""
    if not rule:
        return []
    if rule.get("type") != "Sequence":
        return [rule]
    return [step for inner in rule[name] for step in steps(inner, name)]


def bert(folder: Folder) -> WordPieces:
    settings = folder.settings
    saved = {
        "model": {
            "type": "WordPiece",
            "vocab": folder.vocabulary,
            "unk_token": content(settings.get("unk_token")) or "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
        },
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": settings.get("tokenize_chinese_chars", True),
            "strip_accents": settings.get("strip_accents"),
            "lowercase": settings.get("do_lower_case", True),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    }
    return through_library(WordPieces, saved, folder)


def as_saved(folder: Folder) -> Subwords:
    model = part(folder.saved, "model")
    pieces = model.get("type") == "WordPiece" and model["continuing_subword_prefix"] == CONTINUES
    return through_library(WordPieces if pieces else Subwords, folder.saved, folder)


def through_library(kind: type[S], saved: Mapping[str, Any], folder: Folder) -> S:
    """The tokenizer as the library reads it, without what cuts or fills a text, or splits it by
    chance: that is for training."""
    require("tokenizers", "it needs", CheckpointError)
    from tokenizers import AddedToken, Tokenizer

    require_bounded(saved)
    file = folder.path / (TOKENIZER_NAME if folder.saved else "vocabulary")

    model = dict(saved["model"])
    if "merges" in model:
        model["dropout"] = None
        require_prefix(model)
    without: dict[str, Any] = {"truncation": None, "padding": None, "added_tokens": []}
    try:
        with library_errors(file):
            library = Tokenizer.from_str(
                json.dumps(
                    {"version": "1.0", **EMPTY, **saved, **without}
                    | {"model": model, "post_processor": None}
                )
            )
            library.add_tokens(
                [AddedToken(**dataclasses.asdict(token)) for token in folder.added_tokens()]
            )
    except CheckpointError:
        raise
    except Exception as error:  # the library raises Exception itself
        raise CheckpointError(f"{file} cannot be read ({first_line(error)})") from None
    before = [] if kind is WordPieces else tokens_before(saved, library.get_vocab())
    made = kind(library, file, before)
    bpe = type(library.model).__name__ == "BPE"  # whose spaces transformers leaves alone
    made.tidies = bool(folder.settings.get("clean_up_tokenization_spaces")) and not bpe
    return made


def require_prefix(model: Mapping[str, Any]) -> None:
    """The library does not survive merges that lack it."""
    prefix = model.get("continuing_subword_prefix") or ""
    for merge in join_merges(model["merges"]):
        if not merge.partition(" ")[2].startswith(prefix):
            raise CheckpointError(f"the merge {merge!r:.80} has not the prefix {prefix!r:.40}")


def refusal(folder: Folder) -> str:
    """What a class is that is not known here, and what to do."""
    if words := OWN_WORDS.get(folder.kind):
        return (
            f"its tokenizer is a {folder.kind}, which finds words with {words}, and cannot be "
            "read here; transformers runs it"
        )
    path = json.dumps(str(folder.path))
    program = (
        f"import transformers as t; k = t.AutoTokenizer.from_pretrained({path}); "
        "t.PreTrainedTokenizerFast(tokenizer_object=k.backend_tokenizer, **{n: str(v) for n, v in "
        f"k.special_tokens_map.items() if isinstance(v, str)}}).save_pretrained({path})"
    )
    what = f"a {folder.kind}" if folder.saved else f"a {folder.kind} without {TOKENIZER_NAME}"
    return f"its tokenizer is {what}; convert it: python3 -c {quote(program)}"


def join_merges(merges: Sequence[Any]) -> list[str]:
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
