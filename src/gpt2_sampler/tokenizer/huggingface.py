"""A Hugging Face folder -> its tokenizer, put together as transformers does.

Knows which of its files says what: tokenizer_config.json names the class, which may leave out
most of tokenizer.json; the rest is in added_tokens.json and special_tokens_map.json of old. What
a class does that is not known here is refused by name, never guessed.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import read_object, read_text
from gpt2_sampler.tokenizer.byte_level import END_OF_TEXT, Encoder, parse_merges
from gpt2_sampler.tokenizer.wordpiece import Subwords, WordPieces

TOKENIZER_NAME = "tokenizer.json"
VOCABULARY_NAME, VOCABULARY_MERGES_NAME = "vocab.json", "merges.txt"
BERT_NAME = "vocab.txt"
SETTINGS_NAME, MAP_NAME, ADDED_NAME = (
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
CONFIG_NAME, GENERATION_NAME = "config.json", "generation_config.json"
GPT2, BERT = "GPT2Tokenizer", "BertTokenizer"
AS_SAVED = ("TokenizersBackend", "PreTrainedTokenizer", "PythonBackend", "T5Tokenizer")
"""Classes that take tokenizer.json as it is. Names are without the "Fast" at their ends."""
OWN_WORDS = {"BertJapaneseTokenizer": "MeCab", "CpmTokenizer": "jieba"}
"""Classes that find words by programs of their own."""
NAMED = tuple(f"{kind}_token" for kind in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
DEFAULTS: Mapping[str, Mapping[str, str]] = {
    GPT2: dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT),
    BERT: {f"{kind}_token": f"[{kind.upper()}]" for kind in ("unk", "sep", "pad", "cls", "mask")},
}
"""What the tokens are that a folder does not name."""
BYTE_LEVEL = {
    "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True,
}  # fmt: skip
EMPTY: Mapping[str, Any] = {"normalizer": None, "pre_tokenizer": None, "decoder": None}
UNLIKE = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
"""Settings of BPE that OpenAI's has not."""


S = TypeVar("S", bound=Subwords)


@dataclasses.dataclass(frozen=True)
class Added:
    """A token that is matched in a text before it is split into words."""

    content: str
    special: bool = False
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True

    @property
    def simple(self) -> bool:
        """Whether it takes no more of a text than its name."""
        return not (self.single_word or self.lstrip or self.rstrip)


class Folder:
    """What the files say, as far as they are there. Raises CheckpointError."""

    saved: dict[str, Any]
    """tokenizer.json."""
    kind: str
    """The class that reads it, without "Fast" at its end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.settings = optional_object(folder / SETTINGS_NAME)
        self.config = optional_object(folder / CONFIG_NAME)
        self.saved = optional_object(folder / TOKENIZER_NAME)
        self.kind = self.class_name()
        self.said = set(self.settings)
        self.settings = {**DEFAULTS.get(self.kind, {}), **self.settings}
        self.declared = self.declared_tokens()

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Without what is added to it."""
        if self.saved:
            pieces = part(self.saved, "model")["vocab"]
            if isinstance(pieces, dict):
                return pieces
            pieces = [piece if isinstance(piece, str) else piece[0] for piece in pieces]
        elif self.kind == BERT:
            pieces = read_text(self.path / BERT_NAME).removesuffix("\n").split("\n")
        else:
            return read_object(self.path / VOCABULARY_NAME)
        return {piece: number for number, piece in enumerate(pieces)}

    def class_name(self) -> str:
        automatic = self.settings.get("auto_map")
        if automatic:
            names = automatic.get("AutoTokenizer") if isinstance(automatic, dict) else automatic
            if names:
                raise CheckpointError(
                    f"its tokenizer is a program of its own ({names!s:.80}), and no program of "
                    "a model is run here; transformers runs it with trust_remote_code=True"
                )
        name = self.settings.get("tokenizer_class") or self.config.get("tokenizer_class")
        if name is not None:
            return str(name).removesuffix("Fast")
        if not self.saved:
            return BERT if (self.path / BERT_NAME).is_file() else GPT2
        bpe = part(self.saved, "model").get("type") == "BPE"
        bytes_ = "ByteLevel" in json.dumps(self.saved.get("pre_tokenizer"))
        return GPT2 if self.config and bpe and bytes_ else AS_SAVED[0]

    def declared_tokens(self) -> dict[int, Added]:
        """By their numbers; where tokenizer_config.json has none, those of the older files."""
        if "added_tokens_decoder" in self.settings:
            tokens = self.settings["added_tokens_decoder"]
            return {int(number): added(token) for number, token in tokens.items()}
        for key, value in optional_object(self.path / MAP_NAME).items():
            self.said.add(key)
            self.settings[key] = {**value, "special": True} if isinstance(value, dict) else value
        special = {content(self.settings.get(name)) for name in NAMED}
        special |= {content(token) for token in self.extra()}
        found = {
            number: Added(text, special=text in special, normalized=text not in special)
            for text, number in optional_object(self.path / ADDED_NAME).items()
        }
        return found | {t["id"]: added(t) for t in self.saved.get("added_tokens") or []}

    def extra(self) -> Sequence[Any]:
        given = self.settings.get("extra_special_tokens") or self.settings.get(
            "additional_special_tokens"
        )
        return list(given.values()) if isinstance(given, dict) else given or []

    def added_tokens(self) -> list[Added]:
        """In the order in which they get numbers, where the vocabulary has none for them."""
        tokens = [self.declared[number] for number in sorted(self.declared)]
        if self.kind in AS_SAVED:
            tokens = [added(token) for token in self.saved.get("added_tokens") or []] + tokens
        named = {content(self.settings.get(name)) for name in NAMED}
        tokens = [
            dataclasses.replace(token, special=True) if token.content in named else token
            for token in tokens
        ]
        for value in (*(self.settings.get(name) for name in NAMED), *self.extra()):
            if content(value) and content(value) not in {token.content for token in tokens}:
                tokens.append(added(value, special=True))
        first: dict[str, Added] = {}
        for token in tokens:
            first.setdefault(token.content, token)
        return list(first.values())

    def name(self, *kinds: str) -> list[str]:
        """The tokens that are said to be of these kinds."""
        keys = [f"{kind}_token" for kind in kinds]
        return [text for k in keys if k in self.said and (text := content(self.settings.get(k)))]

    def usual(self, *names: str) -> list[str]:
        """Those of the names that the vocabulary has."""
        declared = {token.content for token in self.declared.values()}
        return [name for name in names if name in self.vocabulary or name in declared]


def load_folder(path: Path) -> Encoder | Subwords:
    """Raises CheckpointError for a folder whose tokenizer is damaged or of a class that is not
    known here; ImportError where it takes the package tokenizers and that is not installed."""
    folder = Folder(path)
    if folder.kind == GPT2:
        tokenizer = byte_level(folder)
    elif folder.kind == BERT:
        tokenizer = bert(folder)
    elif folder.kind in AS_SAVED and folder.saved:
        tokenizer = plain(folder.saved, folder) or as_saved(folder)
    else:
        raise CheckpointError(refusal(folder))
    split = folder.settings.get("split_special_tokens")
    tokenizer.special_tokens = not (isinstance(split, bool) and split)
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
    merges = joined(model["merges"]) if folder.saved else parse_merges(read_text(file))
    saved = {
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": folder.settings.get("add_prefix_space") is True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "decoder": BYTE_LEVEL,
        "post_processor": part(folder.saved, "post_processor") or around(folder),
    }
    return plain(saved, folder) or through_library(Subwords, saved, folder)


def around(folder: Folder) -> dict[str, Any] | None:
    """What is added before and after a text where no tokenizer.json says it."""
    if folder.saved or folder.settings.get("add_bos_token") is not True:
        return None
    bos = content(folder.settings.get("bos_token"))
    single = [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": single} if bos else None


def plain(saved: Mapping[str, Any], folder: Folder) -> Encoder | None:
    """Read here where it does what OpenAI's two files would, beside tokens that are added."""
    model, splitting = part(saved, "model"), part(saved, "pre_tokenizer")
    added_tokens = folder.added_tokens()
    if (
        model.get("type") != "BPE"
        or splitting.get("type") != "ByteLevel"
        or splitting.get("add_prefix_space", True)
        or not splitting.get("use_regex", True)
        or saved.get("normalizer")
        or part(saved, "post_processor").get("type", "ByteLevel") != "ByteLevel"
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
        return Encoder(vocabulary, joined(model["merges"]), added=special)
    except CheckpointError:  # such as one without a symbol for every byte
        return None


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
    pieces = part(folder.saved, "model").get("type") == "WordPiece"
    return through_library(WordPieces if pieces else Subwords, folder.saved, folder)


def through_library(kind: type[S], saved: Mapping[str, Any], folder: Folder) -> S:
    """Without what cuts or fills a text: that is for training."""
    from tokenizers import AddedToken, Tokenizer

    without: dict[str, Any] = {"truncation": None, "padding": None, "added_tokens": []}
    processor = saved.get("post_processor")
    try:
        tokenizer = Tokenizer.from_str(
            json.dumps({"version": "1.0", **EMPTY, **saved, **without, "post_processor": None})
        )
        tokenizer.add_tokens(
            [AddedToken(**dataclasses.asdict(token)) for token in folder.added_tokens()]
        )
    except Exception as error:  # the library raises Exception itself
        where = TOKENIZER_NAME if folder.saved else "vocabulary"
        raise CheckpointError(
            f"{folder.path / where} cannot be read ({str(error).splitlines()[0]:.200})"
        ) from None
    before = [] if kind is WordPieces else added_before(processor)
    return kind(tokenizer, [n for text in before if (n := tokenizer.token_to_id(text)) is not None])


def added_before(processor: Any) -> list[str]:
    """The tokens that tokenizer.json puts before a text. What it puts after one would end it."""
    if not isinstance(processor, dict):
        return []
    if processor.get("type") == "Sequence":
        return [text for inner in processor["processors"] for text in added_before(inner)]
    if processor.get("type") in ("BertProcessing", "RobertaProcessing"):
        return [processor["cls"][0]]
    texts = []
    for step in processor.get("single") or []:
        if "SpecialToken" not in step:
            break
        texts.append(step["SpecialToken"]["id"])
    return texts


def mark(tokenizer: Encoder | Subwords, folder: Folder) -> None:
    """Sets what a text begins after and what ends one: by the numbers that the model's settings
    give, else by names, else by guess."""
    generation = optional_object(folder.path / GENERATION_NAME)
    rows = folder.config.get("vocab_size")
    top = max(rows if type(rows) is int else 0, tokenizer.n_vocab)

    def said(kind: str) -> list[int] | None:
        for settings in (generation, folder.config):
            if (key := f"{kind}_token_id") in settings:
                value = settings[key]
                numbers = value if isinstance(value, list) else [value]
                found = [n for n in numbers if type(n) is int and 0 <= n < top]
                return found if found or value is None else None
        return None

    def guessed(names: Sequence[str]) -> list[int]:
        ids = (tokenizer.token_id(name) for name in names)
        return [n for n in ids if n is not None][:1]

    usual = folder.usual(
        END_OF_TEXT, *([] if isinstance(tokenizer, Encoder) else ["[SEP]", "[CLS]"])
    )
    named = guessed([*folder.name("eos", "sep"), *usual])
    ends = said("eos")
    ends = named if ends is None else ends
    tokenizer.ends = frozenset(ends)
    tokenizer.end_of_text = next((n for n in (*named, *ends) if n in tokenizer.ends), None)
    starts = said("bos") or guessed([*folder.name("bos", "cls"), *folder.usual("[CLS]")])
    tokenizer.start_of_text = starts[0] if starts else tokenizer.end_of_text


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
    return f"its tokenizer is {what}; convert it: python3 -c {shlex.quote(program)}"


def joined(merges: Sequence[Any]) -> list[str]:
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def optional_object(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}


def part(saved: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A section of tokenizer.json, empty where it is null."""
    return saved.get(name) or {}


def content(token: Any) -> str | None:
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def added(token: Any, special: bool = False) -> Added:
    """A token as the files describe it."""
    if isinstance(token, str):
        return Added(token, special=special, normalized=not special)
    flags = {f.name: token[f.name] for f in dataclasses.fields(Added) if f.name in token}
    flags.setdefault("special", special)
    flags.setdefault("normalized", not flags["special"])
    if not all(type(value) is bool for name, value in flags.items() if name != "content"):
        raise TypeError(f"the added token {content(token)!r:.40} has a setting that is no choice")
    return Added(**flags)
