"""Every form of vocabulary reads and writes text as transformers does, whole or as a stream."""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from gpt2_sampler import generate, load_engine
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer.byte_level import OTHER_WORDS, Encoder, load_encoder
from gpt2_sampler.tokenizer.library import Subwords
from gpt2_sampler.tokenizer.load import Tokenizer as Vocabulary
from gpt2_sampler.tokenizer.load import load_tokenizer
from gpt2_sampler.tokenizer.wordpiece import WordPieces
from gpt2_sampler.weights.checkpoint import open_checkpoint
from tests.checkpoints import DATA, byte_vocabulary
from tests.vocabulary import real_vocabulary

CHINESE = DATA / "huggingface" / "chinese"
TEXTS = ("Alan Turing theorized", "naïve  café\n\n 12 345", "春眠不觉晓 🙂", "<|endoftext|>", "")


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_vocabulary(tmp_path_factory.mktemp("openai"))


@pytest.fixture
def renamed(openai: Path, tmp_path: Path) -> Path:
    shutil.copyfile(openai / "encoder.json", tmp_path / "vocab.json")
    shutil.copyfile(openai / "vocab.bpe", tmp_path / "merges.txt")
    return tmp_path


@pytest.fixture
def common(openai: Path, tmp_path: Path) -> Path:
    """The 3,000 merges that were made first, which a library reads in no time."""
    merges = (openai / "vocab.bpe").read_text(encoding="utf-8").splitlines()[:3001]
    ids = json.loads((openai / "encoder.json").read_text(encoding="utf-8"))
    encoder = {text: n for text, n in ids.items() if n < 256 + 3000}
    (tmp_path / "vocab.json").write_text(json.dumps(encoder), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("\n".join(merges), encoding="utf-8")
    return tmp_path


def as_tokenizer(renamed: Path, *, prefix_space: bool = False) -> Path:
    """The same two files as tokenizer.json."""
    bpe = models.BPE.from_file(str(renamed / "vocab.json"), str(renamed / "merges.txt"))
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(renamed / "tokenizer.json"))
    for name in ("vocab.json", "merges.txt"):
        (renamed / name).unlink()
    return renamed


def bert(folder: Path, *names: str, **settings: object) -> Path:
    for name in names:
        shutil.copyfile(CHINESE / name, folder / name)
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def streamed(vocabulary: Vocabulary, ids: list[int]) -> str:
    stream = vocabulary.stream()
    return "".join([stream.push(token) for token in ids]) + stream.finish()


def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)


@pytest.mark.parametrize("form", ["openai", "renamed", "tokenizer"])
def test_byte_level_needs_no_library(
    form: str, openai: Path, renamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = {"openai": lambda: openai, "renamed": lambda: renamed}.get(
        form, lambda: as_tokenizer(renamed)
    )()
    without_library(monkeypatch)
    vocabulary, plain = load_tokenizer(folder), load_encoder(openai)
    assert isinstance(vocabulary, Encoder)
    assert vocabulary.n_vocab == 50257
    assert vocabulary.end_of_text == vocabulary.start_of_text == 50256
    for text in TEXTS:
        for special in (False, True):
            ids = vocabulary.encode(text, special_tokens=special)
            assert ids == plain.encode(text, special_tokens=special)
        assert vocabulary.decode(ids) == streamed(vocabulary, ids) == text


BYTES_ALONE = {
    "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False,
}  # fmt: skip
BYTES = BYTES_ALONE | {"use_regex": True}
ALONE = [{"Sequence": {"id": "A", "type_id": 0}}]
ADDS_NOTHING = {"type": "TemplateProcessing", "single": ALONE, "pair": ALONE, "special_tokens": {}}


def sequence(name: str, *rules: object) -> dict[str, object]:
    return {"type": "Sequence", name: rules}


def split(pattern: str, behavior: str = "Isolated") -> dict[str, object]:
    how = {"behavior": behavior, "invert": behavior == "Removed"}
    return {"type": "Split", "pattern": {"Regex": pattern}, **how}


PLAIN: dict[str, dict[str, Any]] = {
    "as saved": {},
    "of 2020": {"pre_tokenizer": {k: v for k, v in BYTES.items() if k != "use_regex"}},
    "a sequence of one": {"pre_tokenizer": sequence("pretokenizers", BYTES)},
    "a sequence in another": {
        "pre_tokenizer": sequence("pretokenizers", sequence("pretokenizers", BYTES)),
        "normalizer": sequence("normalizers"),
    },
    "OpenAI's pattern": {
        "pre_tokenizer": sequence("pretokenizers", split(OTHER_WORDS[0]), BYTES_ALONE)
    },
    "tiktoken's pattern": {
        "pre_tokenizer": sequence("pretokenizers", split(OTHER_WORDS[1], "Removed"), BYTES_ALONE)
    },
    "a template of nothing": {"post_processor": ADDS_NOTHING},
    "processors of nothing": {"post_processor": sequence("processors", BYTES, ADDS_NOTHING)},
}
"""tokenizer.json's parts that mean no more than OpenAI's two files."""


@pytest.mark.parametrize("config", [None, {"model_type": "gpt2"}])
@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("parts", PLAIN.values(), ids=PLAIN)
def test_what_is_openais_needs_no_library_whatever_it_is_wrapped_in(
    parts: dict[str, Any],
    typed: bool,
    config: dict[str, str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Among them the hub's oldest folders, whose tokenizer.json names no type of its model."""
    byte_vocabulary(tmp_path)
    (tmp_path / "encoder.json").rename(tmp_path / "vocab.json")
    (tmp_path / "vocab.bpe").rename(tmp_path / "merges.txt")
    folder = as_tokenizer(tmp_path)
    path = folder / "tokenizer.json"
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    change(path, model=model if typed else {k: v for k, v in model.items() if k != "type"}, **parts)
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    library = Tokenizer.from_file(str(path))
    without_library(monkeypatch)
    vocabulary = load_tokenizer(folder)
    for text in (*TEXTS, "I'll  say\n\n 'twas ² x<|endoftext|> "):
        ids = library.encode(text, add_special_tokens=False).ids
        assert vocabulary.encode(text) == ids
        assert vocabulary.decode(ids) == library.decode(ids, skip_special_tokens=False) == text
    assert (vocabulary.n_vocab, vocabulary.end_of_text) == (258, 257)


@pytest.mark.parametrize(
    "splitting",
    [
        sequence("pretokenizers", split(r"\s+"), BYTES_ALONE),
        sequence("pretokenizers", split(OTHER_WORDS[0]), BYTES | {"add_prefix_space": True}),
        sequence("pretokenizers", split(OTHER_WORDS[0], "MergedWithNext"), BYTES_ALONE),
        sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, BYTES),
        BYTES_ALONE,
        None,
    ],
)
def test_what_splits_otherwise_is_split_by_the_library(
    splitting: dict[str, Any] | None, common: Path
) -> None:
    folder = as_tokenizer(common)
    change(folder / "tokenizer.json", pre_tokenizer=splitting)
    vocabulary = load_tokenizer(folder)
    assert isinstance(vocabulary, Subwords)
    text = "I'll  say 12 345"
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert vocabulary.encode(text) == library.encode(text).ids


def test_a_start_before_each_text_needs_no_library(
    renamed: Path, openai: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_library(monkeypatch)
    settings = {"add_bos_token": True, "bos_token": "<|endoftext|>"}
    (renamed / "tokenizer_config.json").write_text(json.dumps(settings))
    vocabulary = load_tokenizer(renamed)
    assert vocabulary.encode("Hello") == [50256, *load_encoder(openai).encode("Hello")]


def test_of_the_oldest_files_word_pieces_are_known_too(tmp_path: Path) -> None:
    path = bert(tmp_path, "tokenizer.json") / "tokenizer.json"
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    change(path, model={key: value for key, value in model.items() if key != "type"})
    assert isinstance(load_tokenizer(tmp_path), WordPieces)


def test_added_and_special_tokens_are_known_by_name(renamed: Path) -> None:
    (renamed / "added_tokens.json").write_text('{"<|start|>": 50257, "</s>": 50258}')
    (renamed / "tokenizer_config.json").write_text(
        '{"bos_token": {"content": "<|start|>"}, "eos_token": "</s>"}'
    )
    vocabulary = load_tokenizer(renamed)
    assert (vocabulary.start_of_text, vocabulary.end_of_text) == (50257, 50258)
    assert vocabulary.n_vocab == 50259
    assert vocabulary.decode([50257, 15496]) == "<|start|>Hello"
    assert vocabulary.encode("Hello</s>", special_tokens=True) == [15496, 50258]


def test_the_end_of_text_may_be_told_by_its_number(renamed: Path) -> None:
    vocabulary = json.loads((renamed / "vocab.json").read_text(encoding="utf-8"))
    vocabulary["<end>"] = vocabulary.pop("<|endoftext|>")
    (renamed / "vocab.json").write_text(json.dumps(vocabulary))
    assert load_tokenizer(renamed).end_of_text is None
    (renamed / "config.json").write_text('{"eos_token_id": 50256}')
    assert load_tokenizer(renamed).end_of_text == 50256


@pytest.mark.parametrize("form", ["renamed", "tokenizer"])
def test_a_space_before_every_text_is_the_librarys(form: str, renamed: Path, openai: Path) -> None:
    (renamed / "tokenizer_config.json").write_text('{"add_prefix_space": true}')
    folder = as_tokenizer(renamed, prefix_space=True) if form == "tokenizer" else renamed
    vocabulary = load_tokenizer(folder)
    assert isinstance(vocabulary, Subwords)
    plain = load_encoder(openai)
    assert vocabulary.encode("Hello 天🙂") == plain.encode(" Hello 天🙂")
    assert streamed(vocabulary, plain.encode(" Hello 天🙂!")) == " Hello 天🙂!"


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json"])
def test_without_the_library_one_line_says_what_to_install(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_library(monkeypatch)
    with pytest.raises(CheckpointError, match="needs tokenizers, which is not installed"):
        load_tokenizer(bert(tmp_path, name))


@given(st.text(alphabet="春眠我Gpt hello,19\n\ud800é", max_size=30))
def test_any_text_can_be_a_prompt(text: str) -> None:
    vocabulary = load_tokenizer(CHINESE)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == streamed(vocabulary, ids)


def test_a_chinese_model_takes_and_prints_chinese(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(CHINESE.parent / "plain" / name, tmp_path / name)
    checkpoint = open_checkpoint(bert(tmp_path, "vocab.txt", "tokenizer_config.json"))
    vocabulary = load_tokenizer(checkpoint.folder)
    assert vocabulary.n_vocab <= checkpoint.hparams.n_vocab
    prompt = vocabulary.encode("春眠不觉晓，")
    written = ""
    for sample in generate(load_engine(checkpoint, "cpu"), prompt, 5, length=40, seed=1):
        stream = vocabulary.stream(prompt)
        written += "".join(map(stream.push, sample))
    assert any("\u4e00" <= character <= "\u9fff" for character in written)
    assert not re.search("[\u4e00-\u9fff] [\u4e00-\u9fff]", written)


METASPACE = Tokenizer(
    models.Unigram([("<unk>", 0.0), ("▁", -1.0), ("▁the", -2.0), ("▁cat", -3.0), ("s", -4.0)], 0)
)
METASPACE.pre_tokenizer = pre_tokenizers.Metaspace()
METASPACE.decoder = decoders.Metaspace()


def test_any_tokenizer_of_the_library_streams(tmp_path: Path) -> None:
    METASPACE.save(str(tmp_path / "tokenizer.json"))
    vocabulary = load_tokenizer(tmp_path)
    ids = vocabulary.encode("the cats the cat")
    assert ids == [2, 3, 4, 2, 3]
    assert streamed(vocabulary, ids * 7) == " ".join(["the cats the cat"] * 7)
    assert vocabulary.stream([2]).push(3) == " cat"
    assert vocabulary.end_of_text is None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("tokenizer.json", "{", "is not JSON"),
        ("tokenizer.json", "[]", "is not a JSON object"),
        ("tokenizer.json", '{"model": {"type": "BPE"}}', "cannot be read"),
        ("vocab.json", "{", "is not JSON"),
        ("vocab.json", "{}", "merges.txt is missing"),
        ("vocab.txt", "\udcff", "is not UTF-8 text"),
        ("spiece.model", "", "has a SentencePiece vocabulary"),
        ("README.md", "", "has no vocabulary (encoder.json,"),
    ],
)
def test_what_is_no_vocabulary_is_one_line(
    name: str, content: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CheckpointError) as error:
        load_tokenizer(tmp_path)
    assert says in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings", ['{"added_tokens_decoder": [1]}', '{"added_tokens_decoder": {"x": 1}}', "[]"]
)
def test_settings_of_another_kind_are_one_line(settings: str, renamed: Path) -> None:
    (renamed / "tokenizer_config.json").write_text(settings)
    with pytest.raises(CheckpointError, match="the vocabulary of"):
        load_tokenizer(renamed)


@pytest.mark.parametrize("form", ["pair", "tokenizer"])
def test_more_added_tokens_than_any_vocabulary_has_are_refused_at_once(
    renamed: Path, form: str
) -> None:
    many = {f"token {number}": 60_000 + number for number in range(40_000)}
    if form == "pair":
        (renamed / "added_tokens.json").write_text(json.dumps(many))
    else:
        path = as_tokenizer(renamed) / "tokenizer.json"
        added = [{"id": number, "content": text} for text, number in many.items()]
        saved = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**saved, "added_tokens": added}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"40,0\d\d added tokens, more than 32,768"):
        load_tokenizer(renamed)


def test_bytes_of_broken_characters_are_streamed_as_they_are_decoded(renamed: Path) -> None:
    (renamed / "tokenizer_config.json").write_text('{"add_prefix_space": true}')
    vocabulary = load_tokenizer(renamed)
    assert isinstance(vocabulary, Subwords)
    draw = random.Random(5)
    broken = [vocabulary.encode(character)[1:] for character in "天é🙂"]
    for _ in range(50):
        ids: list[int] = []
        for _ in range(20):
            ids += draw.choice(broken)[draw.randrange(3) :]
            ids += [draw.randrange(256)]
        assert streamed(vocabulary, ids) == vocabulary.library.decode(ids)


def test_merges_that_the_library_does_not_survive_are_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    change(tmp_path / "tokenizer.json", model=saved["model"] | {"continuing_subword_prefix": "##"})
    with pytest.raises(CheckpointError, match="'a b' has not the prefix '##'"):
        load_tokenizer(tmp_path)


def test_a_vocabulary_of_bytes_is_gpt2s_however_its_texts_were_split(
    renamed: Path, openai: Path
) -> None:
    folder = as_tokenizer(renamed)
    change(folder / "tokenizer.json", pre_tokenizer={"type": "Whitespace"})
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    text = "Hello  there, don't"
    assert load_tokenizer(folder).encode(text) == load_encoder(openai).encode(text)


def test_pieces_that_are_marked_otherwise_are_joined_as_the_library_joins_them(
    tmp_path: Path,
) -> None:
    vocabulary = {"[UNK]": 0, "play": 1, "@@ing": 2, "it": 3}
    pieces = models.WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix="@@")
    tokenizer = Tokenizer(pieces)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix="@@")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path)
    assert loaded.encode("playing it") == [1, 2, 3]
    assert loaded.decode([1, 2, 3]) == streamed(loaded, [1, 2, 3]) == "playing it"


def test_text_by_single_bytes_is_streamed_whole(tmp_path: Path) -> None:
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    tokenizer = Tokenizer(models.Unigram([(p, 0.0) for p in pieces], unk_id=0, byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path)
    text = "春眠不觉晓 처음 🙂é" * 9
    assert streamed(loaded, loaded.encode(text)) == loaded.decode(loaded.encode(text)) == text
    broken = [1 + ord("a"), 1 + 0xE6, 1 + 0x98]
    assert loaded.decode(broken) == tokenizer.decode(broken) == "\ufffd" * 3


def test_what_splits_words_by_chance_is_for_training(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.5))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).encode("ab" * 50) == [2] * 50


def test_of_several_templates_the_first_is_followed(renamed: Path) -> None:
    folder = as_tokenizer(renamed)
    templates = [
        {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A"}}],
            "special_tokens": {"x": {"id": "x", "ids": [number], "tokens": ["x"]}},
        }
        for number in (7, 11)
    ]
    change(folder / "tokenizer.json", post_processor={"type": "Sequence", "processors": templates})
    assert load_tokenizer(folder).encode("") == [7]


def change(path: Path, **values: object) -> None:
    saved = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(saved | values), encoding="utf-8")
