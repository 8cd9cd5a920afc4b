"""From cleaned rows to the feature table of a run."""
