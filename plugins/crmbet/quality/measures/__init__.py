"""What the gates measure: profiles of columns, drift, baselines, and the small tables that checks read."""
