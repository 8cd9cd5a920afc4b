"""What became of each run, kept where it can be looked at: `ml_features.pipeline_runs`, alerts, and the page."""
