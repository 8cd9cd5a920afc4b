CREATE TABLE {table} (
    {definitions},
    PRIMARY KEY ({key})
) PARTITION BY RANGE ({instant})
