"""Sends events to the topic: simulated visitors, or a replay of real logs."""
