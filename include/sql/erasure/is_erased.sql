-- Whether an expression gives an id of an erased player.
coalesce({id} IN (SELECT id FROM looked_up_ids WHERE is_erased), false)
