"""Our session: what it is, where it lies, how it is renewed, how it ends."""
