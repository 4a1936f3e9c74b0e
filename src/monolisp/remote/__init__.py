"""Sharing what is in a store: with another by a file, with everybody by a remote store."""
