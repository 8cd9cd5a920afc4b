"""What the gates add to Great Expectations: a data source for DuckDB, and three expectations."""
