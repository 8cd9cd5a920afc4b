"""What the gates measure: profiles of columns, drift from a baseline, and the small tables that checks read."""
