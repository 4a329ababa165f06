"""`reporting.<rollup>`, made from the catalogue: what dashboards read, rollup and tail together."""

from typing import Any

import psycopg

from services.common.rollups import rollups


def create_live_views(connection: psycopg.Connection[Any]) -> None:
    """(Re)create `<rollup>_merged` and `reporting.<rollup>` for every rollup, in the caller's transaction."""
    for rollup in rollups(connection):
        if rollup.merges and not rollup.additive:
            _create_view(connection, f"{rollup.name}_merged", rollup.merged_view())
        _create_view(connection, f"reporting.{rollup.name}", rollup.live_view())


def _create_view(connection: psycopg.Connection[Any], name: str, text: str) -> None:
    # Generated from the catalogue's names alone.
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS {text}".encode())
