-- Features on a log scale, NaN where there is no finite number.
SELECT {columns} FROM {source}
