"""Source → verified file → safely unpacked tree."""
