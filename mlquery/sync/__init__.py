"""Runs on their way between stores: pulled from other servers, pushed to them, exported to files."""
