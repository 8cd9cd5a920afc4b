"""The outcome of each run: the tables `ml_features.pipeline_runs` and `alerts`, the messages, and the page."""
