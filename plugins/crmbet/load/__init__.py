"""Loading the feature table so that readers see the whole old table or the whole new one.

The steps of a load are `ensure_target`, `take_backup`, `staged`, `load` and `sweep_backups`, in this order. Each takes
one `LoadSession`. The data engine fills the staging table and commits it. Everything that touches the target then
happens in one transaction, which takes the load lock first.
"""
