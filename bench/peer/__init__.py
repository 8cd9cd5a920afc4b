"""The feature table once more, by pandas: what a careful analyst would write who has all rows in memory.

It is tuned: only columns that a feature or a rule of cleaning needs are read, players and enums are categoricals from
the file on, money is whole numbers, text is never a Python object, each theme groups its rows once, and themes that go
by days start from daily sums. It answers from scratch for one as_of: unlike the pipeline it keeps neither cleaned rows
nor state nor a quarantine.

A theme gives a frame with a row a player: `cleaning` and `daily` make what themes read, `__main__` puts the themes
together. The models of what players will do are the project's own, on the peer's frames.
"""
