"""The way of a database from one schema version to the next, one file each. Run by ``resource-api migrate``."""
