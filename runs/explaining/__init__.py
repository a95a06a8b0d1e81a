"""`rl explain`: why a run learned what it learned, on one offline page."""
