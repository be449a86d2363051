"""A model folder -> its tokenizer, whichever form its vocabulary has.

Knows the files that there are; what is in them is known elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer import characters
from gpt2_sampler.tokenizer.by_class import load_folder
from gpt2_sampler.tokenizer.byte_level import ENCODER_NAME, MERGES_NAME, load_encoder
from gpt2_sampler.tokenizer.characters import load_characters
from gpt2_sampler.tokenizer.declared import (
    ADDED_NAME,
    BERT_NAME,
    GENERATION_NAME,
    MAP_NAME,
    SETTINGS_NAME,
    TOKENIZER_NAME,
    VOCABULARY_MERGES_NAME,
    VOCABULARY_NAME,
)
from gpt2_sampler.tokenizer.tokenizer import Tokenizer

OPENAI_NAMES = (ENCODER_NAME, MERGES_NAME)
HUGGING_FACE_NAMES = (TOKENIZER_NAME, VOCABULARY_NAME, BERT_NAME)
"""A folder with one of them has a vocabulary."""
VOCABULARY_FILES = (
    TOKENIZER_NAME, VOCABULARY_NAME, VOCABULARY_MERGES_NAME, BERT_NAME, SETTINGS_NAME, MAP_NAME,
    ADDED_NAME, GENERATION_NAME,
)  # fmt: skip
"""All that says something of the tokenizer in a Hugging Face folder, beside config.json."""
SENTENCEPIECE = "*.model"
OTHERS = (SENTENCEPIECE, "*vocab*", "*.bpe", VOCABULARY_MERGES_NAME, "dict*.txt")
"""Vocabularies of kinds that are not read here."""


def has_vocabulary(folder: Path) -> bool:
    """Whether there is one of any kind, also of one that cannot be read here."""
    names = (*OPENAI_NAMES, *HUGGING_FACE_NAMES, characters.FILE_NAME, *OTHERS)
    return any(path.is_file() for name in names for path in folder.glob(name))


def load_tokenizer(folder: Path) -> Tokenizer:
    """Raises CheckpointError for a folder without one, or one that is damaged or unknown."""
    if any((folder / name).exists() for name in OPENAI_NAMES):
        return load_encoder(folder)
    if any((folder / name).is_file() for name in HUGGING_FACE_NAMES) or is_declared(folder):
        try:
            return load_folder(folder)
        except CheckpointError as error:
            raise CheckpointError(f"the vocabulary of {folder}: {error}", **error.facts) from None
        except (LookupError, AttributeError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"the vocabulary of {folder} is not laid out as Hugging Face's are "
                f"({one_line(error)})"
            ) from None
    if (folder / characters.FILE_NAME).is_file():
        return load_characters(folder / characters.FILE_NAME)
    names = ", ".join((ENCODER_NAME, *HUGGING_FACE_NAMES, characters.FILE_NAME))
    if other := find_foreign(folder):
        kind = "SentencePiece" if other.match(SENTENCEPIECE) else "foreign"
        raise CheckpointError(
            f"{folder} has a {kind} vocabulary ({other.name}), not one of {names}; copy "
            f"{SETTINGS_NAME} beside it, or the whole folder of the model, as transformers saved it"
        )
    raise CheckpointError(
        f"{folder} has no vocabulary ({names}); copy that of the model that it was trained from"
    )


def find_foreign(folder: Path) -> Path | None:
    """A vocabulary of a kind that is not read here."""
    paths = (path for name in OTHERS for path in sorted(folder.glob(name)))
    return next((path for path in paths if path.is_file()), None)


def is_declared(folder: Path) -> bool:
    """Whether there is a SentencePiece vocabulary of Hugging Face's."""
    return any(folder.glob(SENTENCEPIECE)) and (folder / SETTINGS_NAME).is_file()


def one_line(error: Exception) -> str:
    return " ".join(repr(error).split())[:200]
