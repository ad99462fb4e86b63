"""The endpoints: each reads its parameters, asks the floors below, and answers."""
