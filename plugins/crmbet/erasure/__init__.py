"""Erasure: store and tables lose the players who asked for it, and a proof looks for them everywhere.

The steps of a run are `take_requests`, `rewrite_store`, `erase_from_tables`, the searches of the proof, `certify` and
`complete`, in this order. Each may be repeated: what is done already is found done. docs/privacy.md says what is
promised.
"""
