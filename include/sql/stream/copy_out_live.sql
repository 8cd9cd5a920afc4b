COPY (SELECT {columns} FROM {table} WHERE day = {day}) TO STDOUT (FORMAT csv)
