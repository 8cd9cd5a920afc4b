"""What is learned from the players: fitted models and the frozen cut-offs of the markers."""
