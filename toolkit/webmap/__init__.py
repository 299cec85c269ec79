"""Rasters as pictures for a web map, served by the Jupyter server itself: no second port, nothing without its login."""
