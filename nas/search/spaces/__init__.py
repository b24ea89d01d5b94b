"""Search spaces: which configuration keys vary, how they depend on each other, and what is near to what."""
