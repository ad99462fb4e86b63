"""The management endpoints, one file per story; handlers of three to eight lines."""
