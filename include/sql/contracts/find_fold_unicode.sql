-- Whether the connection has the function already.
SELECT function_name FROM duckdb_functions() WHERE function_name = 'fold_unicode' LIMIT 1
