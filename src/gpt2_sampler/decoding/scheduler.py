"""Texts to be written -> their pieces as they come: the one scheduler, a level above Batch.

Knows no engine and no terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.text import Piece, Text


class Texts:
    """The same three verbs as Batch, for texts: a text that meets a stop text is cancelled inside.

    >>> texts = Texts(Batch(engine, rows=8))
    >>> texts.add(Text(request, tokenizer, stops=["\\n\\n"]))
    >>> while texts:
    ...     for piece in texts.step():
    ...         print(piece.characters, end="")
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.n_drawn = 0
        """Tokens since the beginning, for a rate."""
        self._texts: dict[Hashable, Text] = {}

    def __len__(self) -> int:
        """The texts that have not been handed out to their ends."""
        return len(self._texts)

    def __contains__(self, id: Hashable) -> bool:
        return id in self._texts

    @property
    def rows(self) -> int:
        """Texts at the same time."""
        return self.batch.rows

    def add(self, text: Text) -> None:
        """Goes on from where the text has come to. One that has ended is handed out with the next
        step. Raises UsageError as Batch.add does."""
        if not text.ended:
            self.batch.add(text.rest())
        self._texts[text.id] = text

    def cancel(self, id: Hashable) -> Piece:
        """Ends a text where it is -> what it holds back. Raises UsageError if there is no such
        text."""
        if id in self.batch or id not in self._texts:
            self.batch.cancel(id)
        text = self._texts.pop(id)
        text.end()
        return text.take()

    def step(self) -> list[Piece]:
        """What the next step adds to each text that it adds to. Raises what Batch.step raises."""
        grown = {id: text for id, text in self._texts.items() if text.ended}
        for token in self.batch.step():
            self.n_drawn += token.drawn
            text = grown[token.request.id] = self._texts[token.request.id]
            text.add(token)
            if text.ended and not token.ended:
                self.batch.cancel(token.request.id)
        for id, text in grown.items():
            if text.ended:
                del self._texts[id]
        return [text.take() for text in grown.values()]


def write_in_order(
    texts: Texts,
    source: Iterable[Text],
    *,
    ahead: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[list[Piece], None, None]:
    """Keeps all rows busy with texts of the source -> after each step, the pieces whose turn has
    come: those of a text follow all those of the texts before it.

    ahead bounds how many texts may wait for an earlier one. Once stopped() is true, the texts that
    are under way end where they are. However it ends, none of them is left in texts. Raises what
    Batch.step raises.
    """
    waiting = iter(source)
    untold: dict[Hashable, list[Piece]] = {}  # the pieces of each text whose turn has not come
    try:
        while not stopped():
            while len(texts) < texts.rows and (ahead is None or len(untold) < ahead):
                if (text := next(waiting, None)) is None:
                    break
                texts.add(text)
                untold[text.id] = []
            if not untold:
                return
            for piece in texts.step():
                untold[piece.text.id].append(piece)
            yield take_turns(untold)
        for id, pieces in untold.items():
            if id in texts:
                pieces.append(texts.cancel(id))
        yield take_turns(untold)
    finally:
        for id in filter(texts.__contains__, untold):
            texts.cancel(id)


def take_turns(untold: dict[Hashable, list[Piece]]) -> list[Piece]:
    """Takes out the pieces whose turn has come."""
    ready = list[Piece]()
    while untold:
        id, pieces = next(iter(untold.items()))
        ready += pieces
        if not (pieces and pieces[-1].ended):
            pieces.clear()
            break
        del untold[id]
    return ready
