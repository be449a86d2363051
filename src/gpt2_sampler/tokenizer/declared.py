"""A Hugging Face folder's files -> what they say of its tokenizer.

tokenizer_config.json names the class, which may leave out most of tokenizer.json; the rest is in
added_tokens.json and special_tokens_map.json of old. Knows no library and encodes nothing.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import read_object, read_text
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, END_OF_TEXT_NAME, require_few

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
NAMED = tuple(f"{kind}_token" for kind in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
CHOICES = ("add_bos_token", "add_eos_token", "add_prefix_space", "split_special_tokens")
DEFAULTS: Mapping[str, Mapping[str, str]] = {
    GPT2: dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT_NAME),
    BERT: {f"{kind}_token": f"[{kind.upper()}]" for kind in ("unk", "sep", "pad", "cls", "mask")},
}
"""What the tokens are that a folder does not name."""


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
        self.saved = with_model_type(optional_object(folder / TOKENIZER_NAME))
        self.kind = self.class_name()
        self.said = set(self.settings)
        for name in CHOICES:
            self.choice(name)
        if self.settings.get("model_specific_special_tokens"):
            raise CheckpointError(
                f"its {SETTINGS_NAME} names model_specific_special_tokens, which are not read "
                "here; write them as extra_special_tokens"
            )
        self.settings = {**DEFAULTS.get(self.kind, {}), **self.settings}
        if not self.settings.get("extra_special_tokens"):
            self.settings["extra_special_tokens"] = self.settings.pop(
                "additional_special_tokens", None
            )
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
        model = part(self.saved, "model")
        if not self.config or model.get("type") != "BPE":
            return AS_SAVED[0]
        split = "ByteLevel" in json.dumps(self.saved.get("pre_tokenizer"))
        return GPT2 if split or set(BYTE_SYMBOLS) <= set(model["vocab"]) else AS_SAVED[0]

    def declared_tokens(self) -> dict[int, Added]:
        """By their numbers; where tokenizer_config.json has none, those of the older files."""
        if "added_tokens_decoder" in self.settings:
            tokens = self.settings["added_tokens_decoder"]
            return {int(number): read_added(token) for number, token in tokens.items()}
        for key, value in optional_object(self.path / MAP_NAME).items():
            self.said.add(key)
            if key == "extra_special_tokens" and isinstance(value, list):
                self.settings[key] = [*(self.settings.get(key) or []), *value]
            else:
                self.settings[key] = (
                    {**value, "special": True} if isinstance(value, dict) else value
                )
        special = {content(self.settings.get(name)) for name in NAMED}
        special |= {content(token) for token in self.extra()}
        found = {
            number: Added(text, special=text in special, normalized=text not in special)
            for text, number in optional_object(self.path / ADDED_NAME).items()
        }
        return found | {t["id"]: read_added(t) for t in self.saved.get("added_tokens") or []}

    def extra(self) -> Sequence[Any]:
        given = self.settings.get("extra_special_tokens") or self.settings.get(
            "additional_special_tokens"
        )
        return list(given.values()) if isinstance(given, dict) else given or []

    def added_tokens(self) -> list[Added]:
        """In the order in which they get numbers, where the vocabulary has none for them. Of one
        that is described several times the last description holds."""
        tokens = [self.declared[number] for number in sorted(self.declared)]
        if self.kind in AS_SAVED:
            tokens = [read_added(token) for token in self.saved.get("added_tokens") or []] + tokens
        values = [*(self.settings.get(name) for name in NAMED), *self.extra()]
        require_few({*(token.content for token in tokens), *map(content, values)})
        named = {content(self.settings.get(name)) for name in NAMED}
        tokens = [
            dataclasses.replace(token, special=True) if token.content in named else token
            for token in tokens
        ]
        there = {None, *(token.content for token in tokens)}
        for value in values:
            if content(value) not in there:
                tokens.append(read_added(value, special=True))
        last = {token.content: token for token in tokens if token.content}
        return list(last.values())

    def choice(self, name: str) -> bool:
        """A setting that is false where nothing is said."""
        value = self.settings.get(name) or False
        if value is not True and value is not False:
            raise CheckpointError(f"its {name} must be true or false, not {value!r:.40}")
        return value

    def name(self, *kinds: str) -> list[str]:
        """The tokens that are said to be of these kinds."""
        keys = [f"{kind}_token" for kind in kinds]
        return [text for k in keys if k in self.said and (text := content(self.settings.get(k)))]

    def usual(self, *names: str) -> list[str]:
        """Those of the names that the vocabulary has."""
        declared = {token.content for token in self.declared.values()}
        return [name for name in names if name in self.vocabulary or name in declared]


def with_model_type(saved: dict[str, Any]) -> dict[str, Any]:
    """tokenizer.json with the type of its model, which files of 2020 leave out, that of
    openai-community/gpt2 among them."""
    model = part(saved, "model")
    for kind, key in (("BPE", "merges"), ("WordPiece", "max_input_chars_per_word")):
        if "type" not in model and key in model:
            return {**saved, "model": {"type": kind, **model}}
    return saved


def optional_object(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}


def part(saved: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A section of tokenizer.json, empty where it is null."""
    return saved.get(name) or {}


def content(token: Any) -> str | None:
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def read_added(token: Any, special: bool = False) -> Added:
    """A token as the files describe it."""
    if isinstance(token, str):
        return Added(token, special=special, normalized=not special)
    flags = {f.name: token[f.name] for f in dataclasses.fields(Added) if f.name in token}
    flags.setdefault("special", special)
    flags.setdefault("normalized", not flags["special"])
    if not all(type(value) is bool for name, value in flags.items() if name != "content"):
        raise TypeError(f"the added token {content(token)!r:.40} has a setting that is no choice")
    return Added(**flags)
