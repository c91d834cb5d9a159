"""What is wrong with a data set and would silently spoil results: copies, leaks, labels that cannot be, and more."""
