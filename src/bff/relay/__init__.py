"""The hot path: a plain ASGI app that takes a cookie in and sends a bearer token out."""
