"""The operators that a DAG wires together: thin layers over the core, one file each, named as their task."""
