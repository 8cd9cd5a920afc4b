-- Whether a fact does not say when it was known, and when the last of the others was.
SELECT count(*) > count({known}), max({known}) FROM {rows}
