"""What can go wrong on purpose, in tests: names, a signer that lies, a wire that breaks."""
