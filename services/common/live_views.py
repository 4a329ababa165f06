"""`reporting.<rollup>`, made from the catalogue: what dashboards read, rollup and tail together."""

from typing import Any

import psycopg

from services.common.rollups import Rollup


def create_live_view(connection: psycopg.Connection[Any], rollup: Rollup) -> list[str]:
    """(Re)create `reporting.<rollup>`, and `<rollup>_merged` if it needs one; returns their names.

    In the caller's transaction.
    """
    views = {f"reporting.{rollup.name}": rollup.live_view()}
    if rollup.merges and not rollup.additive:
        views = {f"{rollup.name}_merged": rollup.merged_view()} | views
    for name, text in views.items():
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {text}".encode())  # of the catalogue's names alone
    return list(views)
