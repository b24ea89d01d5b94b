"""Connections to PostgreSQL are tried before use, but not again and again within a moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy

IDLE_SECONDS = 1.0
"""Who has just used a connection need not ask whether it is alive: that takes as long as a statement."""
_USED = "nas_used"


def ping_idle(engine: sqlalchemy.Engine) -> None:
    """Replace connections that are dead after they were not used for a while.

    One that dies in between fails with its first statement, as one that dies within a transaction.
    """
    import sqlalchemy

    def ping(dbapi_connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() < record.info.get(_USED, 0.0) + IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(dbapi_connection)
        except Exception as error:  # the driver's
            raise sqlalchemy.exc.DisconnectionError from error

    def note(_: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    sqlalchemy.event.listen(engine, "checkout", ping)
    sqlalchemy.event.listen(engine, "checkin", note)
