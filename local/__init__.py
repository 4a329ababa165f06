"""The platform on one machine, without containers."""
