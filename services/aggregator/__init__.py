"""Rolls stored events up, keeps house, verifies and rebuilds."""
