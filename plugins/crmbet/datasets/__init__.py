"""Datasets kept by day and digest: what is there is found, what is missing is made."""
