"""What is promised of the inputs and of the feature table, as data in include/contracts/."""
