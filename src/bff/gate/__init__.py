"""What must hold before a request reaches a session or an API."""
