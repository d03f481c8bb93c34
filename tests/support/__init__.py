"""What several tests share: random data, random queries, and MLflow beside mlquery."""
