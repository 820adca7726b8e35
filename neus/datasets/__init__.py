"""Readers of posed images; each returns a `Scene`."""
