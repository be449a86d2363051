"""Tokens -> which part of the text each of them is, and which words they form. Knows no model.

So what is known of each token, such as how surprising it was, is summed by words or compared with
what others say of the same bytes or characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from gpt2_sampler.tokenizer.load import Tokenizer


class TextSpan(NamedTuple):
    """A part of a text, such as one token. Ends are exclusive.

    A character that several tokens share, a byte or two each, is text of the one that completes it,
    and the others have none of it; the bytes are those of each token.
    """

    text: str
    start: int  # character
    end: int
    start_byte: int
    end_byte: int


class WordSpan(NamedTuple):
    """A word, with the punctuation that is written to it, and the tokens [first, end) that are it.

    Spaces and line breaks before a word are part of its tokens, not of its text. Those after the
    last word are a WordSpan without text.
    """

    text: str
    first: int  # token
    end: int


def find_spans(
    tokenizer: Tokenizer, tokens: Sequence[int], before: Sequence[int] = ()
) -> list[TextSpan]:
    """Returns the span of each token; before are the tokens that the text stands after.

    The spans' texts, joined, are what the tokenizer decodes, and one begins where the one before it
    ends. In GPT-2's vocabulary, "é" in two tokens and "!":

        >>> [tuple(span) for span in find_spans(tokenizer, [127, 102, 0])]
        [('', 0, 0, 0, 1), ('é', 0, 1, 1, 2), ('!', 1, 2, 2, 3)]
    """
    stream = tokenizer.stream(before)
    texts = [stream.push(token) for token in tokens]
    if texts:
        texts[-1] += stream.finish()
    raw = [tokenizer.decode_bytes([token]) for token in tokens]
    if b"".join(raw).decode("utf-8", "replace") != "".join(texts):
        raw = [text.encode() for text in texts]  # tokens that the ones before them change
    places = pairwise(accumulate(map(len, texts), initial=0))
    bytes_of = pairwise(accumulate(map(len, raw), initial=0))
    return [
        TextSpan(text, *place, *of) for text, place, of in zip(texts, places, bytes_of, strict=True)
    ]


def group_words(texts: Sequence[str]) -> list[WordSpan]:
    """Returns the words that tokens with these texts form, all tokens in turn.

    Words are what stands between white space. A token with white space inside joins the words on
    both its sides to one, so that what is summed by words adds up to the whole.

        >>> [tuple(word) for word in group_words(["Don", "'t", " stop", "."])]
        [("Don't", 0, 2), ('stop.', 2, 4)]
    """
    firsts = [0] if texts else []
    begun, in_space = False, False  # whether the word has a letter yet; whether white space ends it
    start = 0  # the first token of a character
    for number, text in enumerate(texts):
        if text:
            if begun and (in_space or text[0].isspace()):
                firsts.append(start)
                begun = False
            begun, in_space = begun or not text.isspace(), text[-1].isspace()
            start = number + 1
    return [
        WordSpan("".join(texts[first:end]).strip(), first, end)
        for first, end in pairwise([*firsts, len(texts)])
    ]


def span_of_word(spans: Sequence[TextSpan], word: WordSpan) -> TextSpan:
    """The word's own text, without the white space before it that its tokens have."""
    whole = "".join(span.text for span in spans[word.first : word.end])
    before = whole[: len(whole) - len(whole.lstrip())] if word.text else whole
    start = spans[word.first].start + len(before)
    start_byte = spans[word.first].start_byte + len(before.encode())
    return TextSpan(
        word.text,
        start,
        start + len(word.text),
        start_byte,
        start_byte + len(word.text.encode()),
    )
