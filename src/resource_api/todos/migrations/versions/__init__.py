"""One file a version. What was released is never edited: somebody's database has been there."""
