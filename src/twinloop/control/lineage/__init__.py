"""What came from what: a graph of revisions, runs, releases and traces, walked back (why) and forward (impact)."""
