"""Driving SBCL: what is loaded into the build runtime, and what it tells."""
