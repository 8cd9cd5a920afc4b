"""The two engines, DuckDB and PostgreSQL: their SQL files, their errors, Parquet and scratch space."""
