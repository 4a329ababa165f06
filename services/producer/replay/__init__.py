"""Replays real data: web-server logs, NDJSON of our own event, CSV with a column mapping."""
