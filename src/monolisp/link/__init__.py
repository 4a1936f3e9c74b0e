"""From a core and a runtime object to one executable."""
