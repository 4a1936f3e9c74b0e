"""Executables built again from what they say of themselves, and bundles of all that this needs."""
