"""Texts of many requests -> their pieces: one thread, which alone uses the scheduler of a model.

Knows no HTTP and no JSON.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from gpt2_sampler.decoding.scheduler import Texts
from gpt2_sampler.decoding.text import Piece, Text

log = logging.getLogger(__name__)

News = list[Piece] | Exception
"""What a step adds to a job, or what ended it."""


class QueueFull(Exception):
    """As many texts wait as may."""


class TextGroup:
    """The texts of a request, all of them wanted at the same time."""

    def __init__(
        self,
        texts: Iterable[Text],
        listener: Callable[[News], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """The listener is called in the loop's thread."""
        self.waiting = deque(texts)
        self.listener = listener
        self.loop = loop
        self.running: set[object] = set()
        self.cancelled = False

    @property
    def is_over(self) -> bool:
        return self.cancelled or not (self.waiting or self.running)


class Decoder:
    """Feeds the rows from the jobs in turn, so that a job of many texts keeps no other one out.

    The ids of texts must differ between jobs that run at the same time.
    """

    def __init__(self, texts: Texts, most_waiting: int) -> None:
        self.texts = texts
        self.n_waiting = 0
        """Texts that have no row."""
        self._most_waiting = most_waiting
        self._lock = threading.Lock()
        self._commands = queue.SimpleQueue[Callable[[], None] | None]()
        self._jobs: deque[TextGroup] = deque()
        self._owners: dict[object, TextGroup] = {}
        self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)
        self._thread.start()

    @property
    def n_running(self) -> int:
        """Texts that have a row."""
        return len(self._owners)

    def submit(self, job: TextGroup) -> None:
        """Raises QueueFull. A job that needs no waiting is never refused."""
        with self._lock:
            free = self.texts.rows - self.n_running
            if self.n_waiting and self.n_waiting + len(job.waiting) > self._most_waiting + free:
                raise QueueFull
            self.n_waiting += len(job.waiting)
        self._commands.put(lambda: self._jobs.append(job))

    def cancel(self, job: TextGroup) -> None:
        """Its rows are free after the step that is under way. Nothing more is told of it."""
        job.cancelled = True
        self._commands.put(lambda: self._drop(job))

    def close(self) -> None:
        """Ends the thread, and with it every job."""
        self._commands.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._obey():
            self._feed()
            if not self._owners:
                continue
            try:
                pieces = self.texts.step()
            except Exception as problem:
                log.exception("a step failed")
                self._fail(problem)
                continue
            self._hand_out(pieces)
        left = {*self._jobs, *self._owners.values()}
        tell({job: ConnectionAbortedError("the server is ending") for job in left})

    def _obey(self) -> bool:
        """Carries out what was asked for, waiting for it if there is nothing else to do."""
        idle = not self._jobs and not self._owners
        while True:
            try:
                command = self._commands.get(block=idle)
            except queue.Empty:
                return True
            if command is None:
                return False
            command()
            idle = False

    def _feed(self) -> None:
        while self._jobs and len(self.texts) < self.texts.rows:
            job = self._jobs.popleft()
            if job.cancelled or not job.waiting:
                continue
            text = job.waiting.popleft()
            self._count(-1)
            try:
                self.texts.add(text)
            except Exception as problem:  # it was checked before, so this is a fault of ours
                log.exception("a text could not be begun")
                self._end(job, problem)
                continue
            job.running.add(text.id)
            self._owners[text.id] = job
            self._jobs.append(job)

    def _hand_out(self, pieces: Iterable[Piece]) -> None:
        of_jobs: dict[TextGroup, list[Piece]] = {}
        for piece in pieces:
            job = self._owners[piece.text.id]
            of_jobs.setdefault(job, []).append(piece)
            if piece.ended:
                job.running.discard(piece.text.id)
                del self._owners[piece.text.id]
        tell({job: own for job, own in of_jobs.items() if not job.cancelled})

    def _fail(self, problem: Exception) -> None:
        """The requests whose texts were being written fail, and nothing else."""
        for job in set(self._owners.values()):
            self._end(job, problem)

    def _end(self, job: TextGroup, problem: Exception) -> None:
        wanted = not job.cancelled
        job.cancelled = True
        self._drop(job)
        if wanted:
            tell({job: problem})

    def _drop(self, job: TextGroup) -> None:
        self._count(-len(job.waiting))
        job.waiting.clear()
        for id in job.running:
            if id in self.texts:
                self.texts.cancel(id)
            self._owners.pop(id, None)
        job.running.clear()
        if job in self._jobs:
            self._jobs.remove(job)

    def _count(self, n: int) -> None:
        with self._lock:
            self.n_waiting += n


def tell(news: Mapping[TextGroup, News]) -> None:
    """Wakes each event loop once: it would take the interpreter from the decoder's thread at the
    first of many calls, and keep it waiting with the others."""
    for loop in {job.loop for job in news}:
        own = [(job.listener, what) for job, what in news.items() if job.loop is loop]
        loop.call_soon_threadsafe(deliver, own)


def deliver(news: Iterable[tuple[Callable[[News], None], News]]) -> None:
    for listener, what in news:
        listener(what)
