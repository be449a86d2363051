"""The same words are the same text, whatever wrote them; what is no text is refused."""

from __future__ import annotations

import codecs
import io

import pytest

from gpt2_sampler import encodings
from gpt2_sampler.encodings import decode, raw_lines, read_all, read_lines
from gpt2_sampler.errors import UsageError

MARKED = [
    (b"", "utf-8"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
]
WORDS = ["é€😀", "", "Ċ\u0d0a has the bytes of line breaks in UTF-16", "last"]


@pytest.mark.parametrize("between", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("mark", "encoding"), MARKED)
def test_a_mark_tells_the_encoding(mark: bytes, encoding: str, between: str) -> None:
    data = mark + between.join(WORDS).encode(encoding)
    assert decode(data, "it") == "\n".join(WORDS)
    assert read_all(io.BytesIO(data), "it") == "\n".join(WORDS)
    assert list(read_lines(io.BytesIO(data), "it")) == WORDS


def test_files_with_marks_can_follow_each_other() -> None:
    one = codecs.BOM_UTF8 + b"one\n"
    assert list(read_lines(io.BytesIO(one + one), "it")) == ["one", "one"]


def test_a_mark_at_the_beginning_of_a_line_is_no_text() -> None:
    assert decode(codecs.BOM_UTF8 * 2 + b"one\r\n" + codecs.BOM_UTF8 + b"two", "it") == "one\ntwo"


def test_nothing_is_converted_from_an_encoding_that_was_guessed() -> None:
    with pytest.raises(UsageError, match="with the encoding that it has: iconv"):
        decode("从前".encode("gb18030"), "it")
    with pytest.raises(UsageError, match=r"UTF-16-LE \(byte 2\)$"):
        decode(codecs.BOM_UTF16_LE + b"odd", "it")


@pytest.mark.parametrize("encoding", ["no such encoding", "ascii"])
def test_what_is_no_text_in_another_encoding_gets_no_hint_of_utf_8(encoding: str) -> None:
    with pytest.raises(UsageError, match=f"it is not text in {encoding.upper()}$"):
        decode("é".encode(), "it", encoding)


def test_raw_lines_have_their_breaks_in_any_encoding() -> None:
    for data in (b"one\ntwo\n", codecs.BOM_UTF16_LE + "one\ntwo\n".encode("utf-16-le")):
        assert list(raw_lines(io.BytesIO(data), "it")) == [b"one\n", b"two\n"]


def test_lines_come_one_by_one() -> None:
    class Typed(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise AssertionError("waits for the end")

    assert next(read_lines(Typed(b"one\ntwo\n"), "it")) == "one"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("café au lait".encode("latin-1"), "it is not text in UTF-8 .byte E9 at 3; 'é' in Latin-1"),
        (b"\x93quoted\x94", "is not text in UTF-8"),
        (b"\xff", "is not text in UTF-8"),
        ("Once\n".encode("utf-16-le"), "contains a NUL, like UTF-16 without its byte order mark"),
        ("Once\n".encode("utf-16-be"), "contains a NUL"),
        (codecs.BOM_UTF16_LE + b"odd", "is not text in UTF-16-LE"),
        (codecs.BOM_UTF32_BE + b"odd", "is not text in UTF-32-BE"),
        (b"\x80\x02}q\x00.", "is not text in UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, says: str) -> None:
    for read in (read_all, lambda file, source: list(read_lines(file, source))):
        with pytest.raises(UsageError, match=says.replace("it is", "is")) as caught:
            read(io.BytesIO(data), "it")
        assert "\n" not in str(caught.value)


def test_another_encoding_can_be_asked_for() -> None:
    data = "café".encode("latin-1")
    assert list(read_lines(io.BytesIO(data), "it", "latin-1")) == ["café"]


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "LIMIT", 7)
    with pytest.raises(UsageError, match="more than the 7 bytes"):
        read_all(io.BytesIO(b"12345678"), "it")
    with pytest.raises(UsageError, match="line 2 of it has more than 7 bytes"):
        list(read_lines(io.BytesIO(b"1\n12345678"), "it"))


def test_on_windows_the_hint_is_in_its_own_code_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> codecs.CodecInfo | None:
        return codecs.lookup("cp936") if name == "mbcs" else None

    codecs.register(find)
    monkeypatch.setattr(encodings, "WINDOWS", True)
    says = r"'你好' in this Windows' code page\); save it as UTF-8, as Notepad does"
    with pytest.raises(UsageError, match=says):
        encodings.decode("你好".encode("gbk"), "it")
    codecs.unregister(find)


def test_a_text_may_have_as_many_bytes_as_the_limit_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encodings, "LIMIT", 5)
    monkeypatch.setattr(encodings, "FILE_LIMIT", 7)
    assert read_all(io.BytesIO(b"12345"), "it") == "12345"
    with pytest.raises(UsageError, match="it has more than the 5 bytes"):
        read_all(io.BytesIO(b"123456"), "it")
    assert read_all(io.BytesIO(b"1234567"), "it", several=True) == "1234567"
    with pytest.raises(UsageError, match="it has more than the 7 bytes"):
        read_all(io.BytesIO(b"12345678"), "it", several=True)
    assert list(read_lines(io.BytesIO(b"1234\n2\n1234\n"), "it")) == ["1234", "2", "1234"]
    with pytest.raises(UsageError, match="line 3 of it has more than 5 bytes"):
        list(read_lines(io.BytesIO(b"1\n2\n12345\n"), "it"))
