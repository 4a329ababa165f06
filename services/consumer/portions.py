"""How much of a batch goes into one transaction: all of it, unless the server lets none take that long.

A managed server may end statements, transactions or their pauses after a time of its own. A batch that takes longer
would be tried again for ever, so it is halved until it fits, and the size that fitted is kept for a while. A batch
with rows that the table refuses is halved, too: what it takes is stored soon, and what it doesn't is found in little.
"""

from collections.abc import Callable, Iterator

import psycopg
import structlog
from psycopg import errors

from services.common.log import Logger
from services.common.postgres import primary
from services.consumer.batch import Batch
from services.consumer.ledger import Outcome

CUT_SHORT = (errors.QueryCanceled, errors.TransactionTimeout, errors.IdleInTransactionSessionTimeout)
_IN_TIME = 8


class StoppedError(Exception):
    """The rest of a batch is left to whoever reads on from the positions."""


class Portions:
    """The portions of the batch under way, kept over a new connection: what is stored isn't tried again."""

    def __init__(self, log: Logger | None = None, goes_on: Callable[[], None] = lambda: None) -> None:
        """`goes_on` is called between two portions; it may raise StoppedError."""
        self._log: Logger = log or structlog.get_logger("consumer")
        self._goes_on = goes_on
        self._most: int | None = None
        self._in_time = 0
        self._batch: Batch | None = None
        self._left: list[Batch] = []
        self._outcomes: list[Outcome] = []

    def of(self, batch: Batch) -> Iterator[Batch]:
        """What is still to be stored; each portion comes again until `stored` or `cut_short` is called for it."""
        if batch is not self._batch:
            self._batch, self._left, self._outcomes = batch, batch.portions(self._most), []
        while self._left:
            yield self._left[0]

    def stored(self, outcome: Outcome) -> None:
        """The portion is committed; after some in a row that fitted, larger ones are tried."""
        del self._left[0]
        self._outcomes.append(outcome)
        if self._left:
            self._goes_on()
        if self._most is None:
            return
        self._in_time += 1
        if self._in_time == _IN_TIME:
            self._most, self._in_time = self._most * 2, 0
            if self._batch is not None and self._most >= len(self._batch.messages):
                self._most = None

    def halve(self) -> bool:
        """Two portions instead of one; False if that can't be."""
        portion = self._left[0]
        if len(portion.messages) < 2:
            return False
        self._left[:1] = portion.portions((len(portion.messages) + 1) // 2)
        return True

    def cut_short(self, error: psycopg.Error) -> bool:
        """The server ended the portion before its time; False if it can't be made smaller."""
        if not self.halve():
            return False
        self._most, self._in_time = len(self._left[0].messages), 0
        self._log.warning(
            "PostgreSQL ended a transaction by a time limit: smaller ones are tried",
            messages=self._most,
            reason=primary(error),
        )
        return True

    def finish(self) -> Outcome:
        """What became of the whole batch."""
        outcomes, self._batch = self._outcomes, None
        return outcomes[0] if len(outcomes) == 1 else Outcome.of(outcomes)
