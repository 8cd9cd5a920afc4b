"""Measurements beside their limits and peers: `make bench`."""
