"""An inference engine in small: caches of its own around a plan, filled, stepped and moved as kvsieve.h says."""
