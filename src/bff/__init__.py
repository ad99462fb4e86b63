"""The backend-for-frontend: a browser signs in and holds one sealed cookie; this service holds the tokens."""
