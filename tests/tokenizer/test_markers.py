"""What a text begins after and what ends one, as the files say it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from gpt2_sampler.tokenizer.load import load_tokenizer
from tests.checkpoints import DATA

PUBLISHED = DATA / "published"


def changed(source: str, folder: Path, name: str, **values: Any) -> Path:
    """A published folder with other values in one of its JSON files."""
    shutil.copytree(PUBLISHED / source, folder, dirs_exist_ok=True)
    path = folder / name
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")
    return folder


def test_a_template_puts_numbers_before_a_text_whatever_their_names(tmp_path: Path) -> None:
    plain = load_tokenizer(PUBLISHED / "distilgpt2").encode("Hello")
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
        "pair": [],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [7, 5], "tokens": ["<s>"]}},
    }
    bert = {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 3]}
    for processor, before in ((template, [7, 5]), (bert, [3])):
        folder = changed("distilgpt2", tmp_path, "tokenizer.json", post_processor=processor)
        assert load_tokenizer(folder).encode("Hello") == before + plain


def test_a_text_begins_after_the_number_that_is_said_or_the_name(tmp_path: Path) -> None:
    folder = changed("distilgpt2", tmp_path, "config.json", bos_token_id=7)
    assert load_tokenizer(folder).start_of_text == 7
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["bos_token_id"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    name = next(text for text in load_tokenizer(folder).vocabulary if len(text) == 2)  # type: ignore[attr-defined]
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": name}))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.start_of_text == tokenizer.vocabulary[name]  # type: ignore[attr-defined]
