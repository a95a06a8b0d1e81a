"""A run as one web page that plays it, watches it and races it, offline."""
