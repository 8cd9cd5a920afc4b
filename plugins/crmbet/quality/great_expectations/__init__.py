"""What the gates add to Great Expectations: a data source for DuckDB, expectations, and checkpoints that are fresh."""
