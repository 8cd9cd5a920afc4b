"""Loading the feature table so that readers see the whole old table or the whole new one.

A load reads as a sentence: `ensure_target`, `take_backup`, `staged`, `load`, `sweep_backups`, each a step
over one `LoadSession`. Staging is filled by the data engine and committed; everything that touches the
target happens in one transaction that takes the load lock first.
"""
