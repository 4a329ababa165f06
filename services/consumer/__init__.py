"""Stores every event of the topic exactly once."""
