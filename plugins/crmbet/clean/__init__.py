"""Cleaning: captured rows become typed, unique rows, or go to quarantine with a reason."""
