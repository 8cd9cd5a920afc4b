"""Contracts: what the inputs and the feature table must look like, as data in include/contracts/."""
