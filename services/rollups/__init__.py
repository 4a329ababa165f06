"""Rollups, below the services that keep them: what they are, how a pass fills them, how they are recounted and read."""
