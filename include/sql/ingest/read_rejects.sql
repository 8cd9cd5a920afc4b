-- Records of a CSV file that the parser set aside: one row a line, however many faults it has.
SELECT line AS _row, 'malformed record: ' || any_value(error_type)::VARCHAR AS _reject, {values}
FROM {rejects}
GROUP BY line
