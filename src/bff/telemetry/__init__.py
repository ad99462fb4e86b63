"""Logs and metrics that never hold a secret."""
