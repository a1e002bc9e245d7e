"""Files of runs, models and traces: a tree of paths over content-addressed blobs."""
