-- The bytes of the records that are set aside.
SELECT coalesce(sum(_bytes), 0)::BIGINT FROM ({records}) WHERE _reject IS NOT NULL
