"""An authorization server for a laptop and for tests, shaped like Entra External ID. Never in a production image."""
