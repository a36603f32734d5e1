"""Adapters to time, and to whoever watches: the system clock and the daemon's log lines."""
