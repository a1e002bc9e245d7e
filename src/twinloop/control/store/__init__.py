"""Where state lives: one relational store and one store of content-addressed blobs, both reached through ports."""
