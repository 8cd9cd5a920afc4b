-- Features on a log scale; NaN if a value is not a finite number.
SELECT {columns} FROM {source}
