"""What the gates add to Great Expectations: a DuckDB data source and expectations of our own."""
