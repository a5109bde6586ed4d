"""Jobs: the queue, the worker that empties it, and the manager that pygeoapi sees."""
