"""Runs that leave the suite or come into it: exported policies, other libraries' files, the hub, other trackers."""
