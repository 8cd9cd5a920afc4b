"""What a run learns from the players: fitted models, and the frozen cut-offs of the markers."""
