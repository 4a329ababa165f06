"""What every service shares: the event, settings, clients, logs and health."""
