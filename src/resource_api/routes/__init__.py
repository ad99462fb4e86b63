"""What can be asked of this API."""
