"""Ids are those of a plain BPE, tiktoken and gpt3_tokenizer, and decode to what was encoded."""

from __future__ import annotations

import itertools
import json
import math
import random
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import regex
import tiktoken
import tiktoken.load
from hypothesis import given
from hypothesis import strategies as st

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer import byte_level as encoder_module
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, Encoder, StreamDecoder, load_encoder
from tests.vocabulary import real_vocabulary

# As OpenAI wrote it.
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
END_OF_TEXT = 50256
END_OF_TEXT_TYPED = [27, 91, 437, 1659, 5239, 91, 29]

TEXTS = {
    "nothing": "",
    "english": "The seven dwarfs' mine wasn't far; \"we'll see,\" they'd said, 'twas 1812.",
    "contractions": "I'm you're he's I've we'll she'd don't I'M YOU'RE 'sir 'tis' ''s x'll 's's",
    "german": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "polish": "Zażółć gęślą jaźń. Łódź!",
    "russian": "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· 'σ",
    "chinese": "天地玄黃,宇宙洪荒。日月盈昃,辰宿列張。三百六十五天",
    "japanese": "いろはにほへと ちりぬるを。カタカナ、漢字",
    "korean": "다람쥐 헌 쳇바퀴에 타고파",
    "thai": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "arabic": "نص حكيم له سر قاطع وذو شأن عظيم ١٢٣ مكتوب",
    "hebrew": "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "hindi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण १२३",
    "emoji": "👩‍👩‍👧‍👦 👍🏽 🇮🇸 ❤️‍🔥 1️⃣ 😀😀😀 a😀b",
    "combining": "e\u0301 n\u0303 a\u030a\u0323 \u0301 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "numbers": "3.14159 1,000,000 ½ Ⅷ ² 0x1F 12345678901234567890 v2",
    "controls": "\x00\x01\x07\x08\x1b[0m\x1c\x1d\x1e\x1f\x7f\x80\x85\x9f a\x00b",
    "white space": "a  b   c    \t\td\n\n\n e \r\n f\u00a0\u00a0g\u2003 h\u3000\u2028i\u200b \n",
    "spaces at the end": "word    ",
    "only spaces": " " * 70,
    "code": "for (int i = 0; i < n; ++i) {\n\t    a[i] += b->c[i]; // done\n}\n#include <x.h>",
    "long word": "https://example.org/" + "abcdefghij0123456789-_" * 9,
    "long letters": "antidisestablishmentarianism" * 5,
    "stand-ins": "Ġt ĠĠ Ċ Ń ĉ Ä ¡ \xad ÿ",
    "end of text": "a<|endoftext|>b <|endoftext|>",
    "the last merge": " gazed",
}


class PlainBpe:
    """BPE as it is defined: merge each occurrence of the pair learned first, until none is left."""

    def __init__(self, encoder: dict[str, int], merges: list[str]) -> None:
        self.encoder = encoder
        self.ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
        visible = [byte for byte in range(256) if chr(byte).isprintable() and byte != ord(" ")]
        hidden = [byte for byte in range(256) if byte not in visible]
        self.symbols = {byte: chr(byte) for byte in visible}
        self.symbols |= {byte: chr(256 + n) for n, byte in enumerate(hidden)}

    def encode(self, text: str) -> list[int]:
        return [
            self.encoder[symbol]
            for word in regex.findall(PATTERN, text)
            for symbol in self.merge([self.symbols[byte] for byte in word.encode()])
        ]

    def merge(self, symbols: list[str]) -> list[str]:
        def rank(pair: tuple[str, ...]) -> float:
            return self.ranks.get(pair, math.inf)

        first = min(itertools.pairwise(symbols), key=rank, default=())
        if rank(first) == math.inf:
            return symbols
        merged = []
        while symbols:
            size = 2 if tuple(symbols[:2]) == first else 1
            merged.append("".join(symbols[:size]))
            symbols = symbols[size:]
        return self.merge(merged)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return load_encoder(folder)


@pytest.fixture(scope="module")
def plain(folder: Path) -> PlainBpe:
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")
    return PlainBpe(json.loads((folder / "encoder.json").read_bytes()), lines[1:-1])


@pytest.fixture(scope="module")
def peer(folder: Path) -> Iterator[tiktoken.Encoding]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", "")  # or it leaves copies in the system's /tmp
        ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks(
            str(folder / "vocab.bpe"), str(folder / "encoder.json")
        )
    special_tokens = {"<|endoftext|>": END_OF_TEXT}
    yield tiktoken.Encoding(
        "gpt2-files", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special_tokens
    )


# Characters of this Python's Unicode only: of newer ones the peers may not agree what is a letter.
known_characters = st.characters(exclude_categories=("Cs", "Cn"))
texts = st.lists(
    st.sampled_from(list(TEXTS.values()))
    | st.text(known_characters, max_size=20)
    | st.text("aehinorst '\n", max_size=150)
    | st.text(" \t\r\n\u3000", max_size=9),
    max_size=6,
).map("".join)
ids_of_any_kind = st.lists(st.integers(0, 50300))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_ids_are_the_plain_bpes(text: str, encoder: Encoder, plain: PlainBpe) -> None:
    assert encoder.encode(text) == plain.encode(text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_ids_are_tiktokens(text: str, encoder: Encoder, peer: tiktoken.Encoding) -> None:
    assert encoder.encode(text) == peer.encode_ordinary(text)


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - {"the last merge"}))  # which it leaves out
def test_ids_are_gpt3_tokenizers(name: str, encoder: Encoder) -> None:
    import gpt3_tokenizer  # reads its vocabulary meanwhile, which takes a second

    assert encoder.encode(TEXTS[name]) == gpt3_tokenizer.encode(TEXTS[name])


@given(text=texts)
def test_ids_of_any_text_are_the_same_three_times(
    text: str, encoder: Encoder, plain: PlainBpe, peer: tiktoken.Encoding
) -> None:
    assert encoder.encode(text) == plain.encode(text) == peer.encode_ordinary(text)


@st.composite
def vocabularies(draw: st.DrawFn) -> tuple[dict[str, int], list[str]]:
    """Ids in any order, and merges that no training need have led to."""
    symbols = ["a", "b", "c", "Ġ"]
    merges = []
    for _ in range(draw(st.integers(0, 12))):
        left, right = draw(st.sampled_from(symbols)), draw(st.sampled_from(symbols))
        if left + right not in symbols:
            symbols.append(left + right)
            merges.append(f"{left} {right}")
    names = {*symbols, *encoder_module.BYTE_SYMBOLS}
    ids = draw(st.randoms(use_true_random=False)).sample(range(2 * len(names)), len(names))
    return dict(zip(sorted(names), ids, strict=True)), merges


@given(vocabulary=vocabularies(), text=st.text("abc ") | st.text("abc", min_size=70))
def test_ids_of_any_vocabulary_are_the_plain_bpes(
    vocabulary: tuple[dict[str, int], list[str]], text: str
) -> None:
    assert Encoder(*vocabulary).encode(text) == PlainBpe(*vocabulary).encode(text)


def test_each_tokens_text_is_encoded_as_by_tiktoken(
    encoder: Encoder, peer: tiktoken.Encoding
) -> None:
    all_texts = [encoder.decode([token]) for token in range(END_OF_TEXT)]
    assert [encoder.encode(text) for text in all_texts] == [
        peer.encode_ordinary(text) for text in all_texts
    ]


def test_known_texts_have_openais_ids(encoder: Encoder) -> None:
    assert encoder.encode("Hello ") == [15496, 220]
    assert encoder.encode(" gazed") == [50255]
    assert encoder.n_vocab == 50257
    assert encoder.end_of_text == END_OF_TEXT


def test_end_of_text_is_a_token_only_when_asked_for(
    encoder: Encoder, peer: tiktoken.Encoding
) -> None:
    assert encoder.encode("<|endoftext|>") == END_OF_TEXT_TYPED
    assert encoder.encode("<|endoftext|>", special_tokens=True) == [END_OF_TEXT]
    text = "<|endoftext|>one<|endoftext|><|endoftext|> two <|endoftext"
    assert encoder.encode(text, special_tokens=True) == peer.encode(text, allowed_special="all")


def test_a_vocabulary_without_end_of_text_has_only_ordinary_text(plain: PlainBpe) -> None:
    ordinary = {symbol: n for symbol, n in plain.encoder.items() if n != END_OF_TEXT}
    encoder = Encoder(ordinary, [" ".join(pair) for pair in plain.ranks])
    assert encoder.end_of_text is None
    assert encoder.encode("<|endoftext|>", special_tokens=True) == END_OF_TEXT_TYPED


@given(text=texts | st.text())
def test_decoding_gives_the_text_back(text: str, encoder: Encoder) -> None:
    assert encoder.decode(encoder.encode(text)) == text
    assert encoder.decode(encoder.encode(text, special_tokens=True)) == text


@given(raw=st.binary(max_size=100))
def test_bytes_that_are_no_utf8_come_back(raw: bytes, encoder: Encoder) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    assert encoder.decode_bytes(encoder.encode(text)) == raw
    assert encoder.decode(encoder.encode(text)) == raw.decode("utf-8", "replace")


@pytest.mark.parametrize("surrogate", ["\ud800", "\udbff", "\udc00", "\udc7f", "\udd00", "\udfff"])
def test_a_lone_surrogate_counts_as_a_replacement_character(
    surrogate: str, encoder: Encoder
) -> None:
    assert encoder.encode(f"a {surrogate}b") == encoder.encode("a \ufffdb")


@given(ids=ids_of_any_kind)
def test_a_stream_gives_what_decoding_gives(ids: list[int], encoder: Encoder) -> None:
    stream = StreamDecoder(encoder)
    pieces = [stream.push(token) for token in ids]
    assert "".join(pieces) + stream.finish() == encoder.decode(ids)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_stream_gives_whole_characters(text: str, encoder: Encoder) -> None:
    stream = StreamDecoder(encoder)
    pieces = [stream.push(token) for token in encoder.encode(text)]
    assert "".join(pieces) == text
    assert stream.finish() == ""


def test_a_stream_replaces_a_character_left_unfinished(encoder: Encoder) -> None:
    first_bytes = encoder.encode("😀")[:-1]
    stream = StreamDecoder(encoder)
    assert [stream.push(token) for token in first_bytes] == [""] * len(first_bytes)
    assert stream.finish() == "\ufffd"


@pytest.mark.parametrize("token", [50257, 50303, 10**12, 2**70])
def test_an_id_of_no_token_is_a_replacement_character(token: int, encoder: Encoder) -> None:
    assert encoder.decode([39, token, 72]) == "H\ufffdi"


def test_a_special_token_is_decoded_as_it_is_written(plain: PlainBpe) -> None:
    added = {**plain.encoder, "<|Łódź 終|>": 50257}
    encoder = Encoder(added, [" ".join(pair) for pair in plain.ranks])
    assert encoder.decode([50257, END_OF_TEXT]) == "<|Łódź 終|><|endoftext|>"
    assert encoder.n_vocab == 50258


def test_forgetting_words_changes_nothing(
    encoder: Encoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "MAX_CACHED_WORDS", 5)
    forgetful = load_encoder(folder)
    for text in [*TEXTS.values(), *TEXTS.values()]:
        assert forgetful.encode(text) == encoder.encode(text)
        assert len(forgetful._words) <= 5


@pytest.mark.parametrize("short_word", [0, 10**9])
def test_a_scan_and_a_heap_merge_alike(
    short_word: int, encoder: Encoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "SHORT_WORD", short_word)
    other = load_encoder(folder)
    for text in TEXTS.values():
        assert other.encode(text) == encoder.encode(text)


LETTERS = "".join(random.Random(0).choices(string.ascii_lowercase, k=40_000))


@pytest.mark.parametrize("unit", [LETTERS, "a", "😀", " ", "\n", "- ", "1", "é", "'", "天"])
def test_ten_times_the_text_costs_about_ten_times_as_much(unit: str, encoder: Encoder) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        times = []
        for _ in range(3):
            encoder._words.clear()
            start = time.process_time()
            encoder.encode(text)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(40_000) < 35 * seconds(4_000) + 0.01  # quadratic: 100 times


def test_a_file_with_windows_line_ends_is_the_same(
    encoder: Encoder, folder: Path, tmp_path: Path
) -> None:
    real_vocabulary(tmp_path)
    merges = (folder / "vocab.bpe").read_bytes()
    (tmp_path / "vocab.bpe").write_bytes(merges.replace(b"\n", b"\r\n"))
    assert load_encoder(tmp_path).encode(TEXTS["english"]) == encoder.encode(TEXTS["english"])


def half(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def whole_lines_of_half(raw: bytes) -> bytes:
    return half(raw)[: half(raw).rindex(b"\n") + 1]


def error_page(raw: bytes) -> bytes:
    return b"<?xml version='1.0'?>\n<Error><Code>BlobNotFound</Code></Error>\n"


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "encoder empty": ("encoder.json", lambda raw: b""),
    "encoder cut short": ("encoder.json", half),
    "encoder an error page": ("encoder.json", error_page),
    "encoder no UTF-8": ("encoder.json", lambda raw: b"\xff\xfe" + raw),
    "encoder a list": ("encoder.json", lambda raw: b"[1, 2]"),
    "encoder without tokens": ("encoder.json", lambda raw: b"{}"),
    "encoder with a text for a number": (
        "encoder.json",
        lambda raw: raw.replace(b": 15496,", b': "15496",'),
    ),
    "encoder with a list for a number": (
        "encoder.json",
        lambda raw: raw.replace(b": 15496,", b": [15496],"),
    ),
    "encoder with a number twice": (
        "encoder.json",
        lambda raw: raw.replace(b": 15496,", b": 1549,"),
    ),
    "encoder with a number below 0": (
        "encoder.json",
        lambda raw: raw.replace(b": 15496,", b": -15496,"),
    ),
    "encoder without a byte": ("encoder.json", lambda raw: raw.replace(b'"!": 0,', b"")),
    "encoder without a merged token": (
        "encoder.json",
        lambda raw: raw.replace(b'"Hello": 15496,', b""),
    ),
    "merges empty": ("vocab.bpe", lambda raw: b""),
    "merges cut short": ("vocab.bpe", half),
    "merges cut short at a line": ("vocab.bpe", whole_lines_of_half),
    "merges without the last line": ("vocab.bpe", lambda raw: raw[: raw[:-1].rindex(b"\n") + 1]),
    "merges an error page": ("vocab.bpe", error_page),
    "merges no UTF-8": ("vocab.bpe", lambda raw: raw[:3000] + b"\xff" + raw[3000:]),
    "merges of what stands for no byte": (
        "vocab.bpe",
        lambda raw: raw + "天 天\n".encode(),
    ),
    "merges without a space": ("vocab.bpe", lambda raw: raw.replace(b"\nh e\n", b"\nhe\n")),
    "merges of another vocabulary": ("vocab.bpe", lambda raw: raw + b"q qq\n"),
}


@pytest.mark.parametrize(("name", "damage"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_named_in_one_line(
    name: str, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = real_vocabulary(tmp_path) / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError) as raised:
        load_encoder(tmp_path)
    message = str(raised.value)
    assert name in message
    assert str(tmp_path) in message
    assert raised.value.facts["file"].parent == tmp_path
    assert "\n" not in message
    assert len(message) < 200 + len(str(path))


@pytest.mark.parametrize(
    ("merges", "said"),
    [
        (["h e", "he"], "a merge must be of two symbols, not 'he'"),
        (["h e", "h e l"], "a merge must be of two symbols, not 'h e l'"),
        (["h e", "h \u5929"], "the merges have '\u5929', which stands for no byte"),
    ],
)
def test_a_merge_that_is_none_is_named(merges: list[str], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        Encoder({symbol: n for n, symbol in enumerate([*BYTE_SYMBOLS, "he"])}, merges)


@pytest.mark.parametrize("name", ["encoder.json", "vocab.bpe"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    (real_vocabulary(tmp_path) / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load_encoder(tmp_path)


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").mkdir()
    with pytest.raises(CheckpointError, match=r"encoder\.json cannot be read|is a folder"):
        load_encoder(tmp_path)
