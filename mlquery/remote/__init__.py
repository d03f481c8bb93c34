"""Runs on a server of MLflow's REST API, found by the queries that it takes and decided here."""
