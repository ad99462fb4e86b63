"""Who is registered, and how a client proves who it is."""
