"""Simulated visitors of an online shop: who they are, how they walk through it, and what goes wrong on the way."""
