"""Operators and blocks compared by arithmetic intensity, bytes and time."""
