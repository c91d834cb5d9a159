"""A search for the best values of a configuration: many trainings, of which the worse are stopped early."""
