"""The resource API: to-do lists behind a security layer that any FastAPI application can take."""
