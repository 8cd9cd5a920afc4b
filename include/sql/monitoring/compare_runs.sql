-- How two feature tables differ: players of one alone, of the other alone, of both; then the cells that differ, by column.
SELECT
    count(*) FILTER (other.{key} IS NULL),
    count(*) FILTER (one.{key} IS NULL),
    count(*) FILTER (one.{key} = other.{key}),
    {differences}
FROM {one} AS one
FULL JOIN {other} AS other ON one.{key} = other.{key}
