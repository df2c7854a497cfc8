"""Measured tables as they are read: published ones, and the records that are written here."""
