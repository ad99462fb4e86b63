"""To-dos: what one is, and where they are kept."""
