"""Bills of materials, and licences, of what an executable says of itself."""
