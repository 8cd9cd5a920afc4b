CREATE SCHEMA ml_features
