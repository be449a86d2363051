"""A model folder -> its tokenizer, whichever of four forms its vocabulary has.

Knows the files; what is in the unusual ones is wordpiece.py's business, which needs a library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import read_object, read_text
from gpt2_sampler.tokenizer.byte_level import (
    ENCODER_NAME,
    END_OF_TEXT,
    MERGES_NAME,
    Encoder,
    load_encoder,
    parse_merges,
)
from gpt2_sampler.tokenizer.wordpiece import Stream, Subwords, WordPieces, word_piece_tokenizer

TOKENIZER_NAME = "tokenizer.json"
VOCABULARY_NAME, VOCABULARY_MERGES_NAME = "vocab.json", "merges.txt"
BERT_NAME = "vocab.txt"
CONFIG_NAMES = ("tokenizer_config.json", "special_tokens_map.json")
ADDED_NAME = "added_tokens.json"
NAMES = (ENCODER_NAME, TOKENIZER_NAME, VOCABULARY_NAME, BERT_NAME)
"""A folder with one of them has a vocabulary."""
SENTENCEPIECE = "*.model"
GENERATION_NAME = "generation_config.json"
VOCABULARY_FILES = (
    TOKENIZER_NAME, VOCABULARY_NAME, VOCABULARY_MERGES_NAME, BERT_NAME, *CONFIG_NAMES, ADDED_NAME,
)  # fmt: skip
"""Those of a Hugging Face folder."""


class Tokenizer(Protocol):
    """What every tokenizer answers; Encoder is the plainest of them.

    start_of_text and end_of_text are the ids of what a text begins after and ends with, None
    where the vocabulary lacks them; n_vocab is one more than the highest id.
    """

    n_vocab: int
    start_of_text: int | None
    end_of_text: int | None

    def encode(self, text: str, *, special_tokens: bool = False) -> list[int]: ...

    def decode(self, ids: Iterable[int]) -> str: ...

    def decode_bytes(self, ids: Iterable[int]) -> bytes: ...

    def stream(self, before: Sequence[int] = ()) -> Stream: ...


def has_vocabulary(folder: Path) -> bool:
    """Whether there is one of any kind, also of one that cannot be read here."""
    names = (*NAMES, MERGES_NAME)
    return any((folder / name).exists() for name in names) or any(folder.glob(SENTENCEPIECE))


def load_tokenizer(folder: Path) -> Tokenizer:
    """Raises CheckpointError for a folder without one, or one that is damaged or unknown."""
    if any((folder / name).exists() for name in (ENCODER_NAME, MERGES_NAME)):
        return load_encoder(folder)
    loaders = {
        TOKENIZER_NAME: read_tokenizer_json,
        VOCABULARY_NAME: read_byte_level,
        BERT_NAME: read_bert,
    }
    for name, load in loaders.items():
        path = folder / name
        if path.is_file():
            try:
                return load(path, Special(folder))
            except ImportError:
                raise CheckpointError(
                    f"{path} needs the package tokenizers; type: pip install tokenizers"
                ) from None
            except CheckpointError as error:
                raise CheckpointError(
                    f"the vocabulary of {folder}: {error}", **error.facts
                ) from None
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"the vocabulary of {folder} is not laid out as Hugging Face's are ({error!r})"
                ) from None
    names = ", ".join(NAMES)
    if any(folder.glob(SENTENCEPIECE)):
        raise CheckpointError(
            f"{folder} has a SentencePiece vocabulary, not one of {names}; convert it: python3 -c "
            f"\"import transformers as t; t.AutoTokenizer.from_pretrained('{folder}')"
            f".save_pretrained('{folder}')\""
        )
    raise CheckpointError(
        f"{folder} has no vocabulary ({names}); copy that of the model that it was trained from"
    )


Vocabulary = Tokenizer


class Special:
    """What a Hugging Face folder says of its tokenizer beside the vocabulary itself."""

    def __init__(self, folder: Path) -> None:
        self.settings: dict[str, Any] = {}
        for name in reversed(CONFIG_NAMES):
            self.settings |= optional_object(folder / name)
        self.config = optional_object(folder / "config.json")
        self.added = dict(optional_object(folder / ADDED_NAME))
        for number, token in (self.settings.get("added_tokens_decoder") or {}).items():
            self.added[token["content"]] = int(number)

    def names(self, *kinds: str) -> list[str]:
        """The tokens set as "eos_token" and the like."""
        values = [self.settings.get(kind) for kind in kinds]
        values = [value.get("content") if isinstance(value, dict) else value for value in values]
        return [value for value in values if isinstance(value, str)]

    def first(self, vocabulary: Mapping[str, int], names: Iterable[str], kind: str) -> str | None:
        """The first of the names that the vocabulary has, else the one that config.json numbers."""
        for name in names:
            if name in vocabulary:
                return name
        number = self.config.get(f"{kind}_token_id")
        return next((token for token, n in vocabulary.items() if n == number), None)

    def end(self, vocabulary: Mapping[str, int], *usual: str) -> str | None:
        return self.first(vocabulary, [*self.names("eos_token", "sep_token"), *usual], "eos")

    def start(self, vocabulary: Mapping[str, int], *usual: str) -> str | None:
        return self.first(vocabulary, [*self.names("bos_token", "cls_token"), *usual], "bos")


def read_byte_level(path: Path, special: Special) -> Tokenizer:
    """vocab.json and merges.txt: OpenAI's two files by other names."""
    vocabulary = {**read_object(path), **special.added}
    merges = parse_merges(read_text(path.with_name(VOCABULARY_MERGES_NAME)))
    if not special.settings.get("add_prefix_space"):
        return byte_level(vocabulary, merges, special)
    from tokenizers import Tokenizer as LibraryTokenizer
    from tokenizers import decoders, models, pre_tokenizers

    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = LibraryTokenizer(models.BPE(vocabulary, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return subwords(Subwords, tokenizer, special)


def read_tokenizer_json(path: Path, special: Special) -> Tokenizer:
    """tokenizer.json: read here where it is what OpenAI's two files would be, else by the
    library."""
    content = read_object(path)
    if (plain := plain_byte_level(content)) is not None:
        try:
            return byte_level(*plain, special)
        except CheckpointError:  # such as one without a symbol for every byte
            pass
    from tokenizers import Tokenizer as LibraryTokenizer

    try:
        tokenizer = LibraryTokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise CheckpointError(f"{path} cannot be read ({str(error).splitlines()[0]})") from None
    is_bert = content["model"].get("type") == "WordPiece"
    return subwords(WordPieces if is_bert else Subwords, tokenizer, special)


def read_bert(path: Path, special: Special) -> Tokenizer:
    """vocab.txt: BERT's, one piece a line."""
    pieces = read_text(path).removesuffix("\n").split("\n")
    settings = special.settings
    tokenizer = word_piece_tokenizer(
        {piece: number for number, piece in enumerate(pieces)},
        lowercase=settings.get("do_lower_case", True) is True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True) is True,
        strip_accents=settings.get("strip_accents"),
    )
    return subwords(WordPieces, tokenizer, special)


def plain_byte_level(content: Any) -> tuple[dict[str, int], list[str]] | None:
    """The vocabulary and merges of a tokenizer.json that does what Encoder does."""
    try:
        model, splitting = content["model"], content["pre_tokenizer"]
        added = content.get("added_tokens") or []
        unlike = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
        if (
            model["type"] != "BPE"
            or splitting["type"] != "ByteLevel"
            or splitting["add_prefix_space"]
            or not splitting.get("use_regex", True)
            or content.get("normalizer")
            or any(model.get(name) for name in (*unlike, "ignore_merges"))
            or not all(token["special"] for token in added)
        ):
            return None
        merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
        return {**model["vocab"], **{token["content"]: token["id"] for token in added}}, merges
    except (AttributeError, KeyError, TypeError):
        return None


def byte_level(vocabulary: dict[str, int], merges: list[str], special: Special) -> Encoder:
    end = special.end(vocabulary, END_OF_TEXT) or END_OF_TEXT
    return Encoder(vocabulary, merges, end, special.start(vocabulary))


def subwords(kind: type[Subwords], tokenizer: Any, special: Special) -> Subwords:
    ids = tokenizer.get_vocab()
    end = special.end(ids, END_OF_TEXT, "[SEP]", "[CLS]")
    start = special.start(ids, "[CLS]")
    return kind(tokenizer, ids.get(end), ids.get(start))


def optional_object(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is none. Raises CheckpointError."""
    return read_object(path) if path.exists() else {}
