"""The feature table computed by pandas, as a careful analyst would do it who has all rows in memory.

It is tuned. Only columns that a feature or a rule of cleaning needs are read. Players and enums are read as
categoricals. Money is whole numbers. Text is never a Python object. Each theme groups its rows once, and themes by day
start from daily sums. It computes one as_of from scratch: unlike the pipeline it keeps neither cleaned rows nor state
nor a quarantine.

Each theme returns a frame with one row per player. `cleaning` and `daily` make the frames that themes read, and
`__main__` joins the themes. The models of what players will do are the project's own, applied to the peer's frames.
"""
