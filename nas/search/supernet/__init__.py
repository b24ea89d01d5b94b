"""A weight-sharing supernet: trained once, it ranks thousands of lists of blocks."""
