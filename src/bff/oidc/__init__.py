"""The relying party: discovery, sign-in, refresh, sign-out, with every verification numbered."""
