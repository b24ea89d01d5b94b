"""Rungs: trials are compared at shares of their budget; the best go on, others wait, hopeless ones end."""
