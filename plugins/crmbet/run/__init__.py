"""What one run obeys (settings, params, window and schedule), and how it reports its progress."""
