"""Brings database and topic to what this version needs."""
