"""Tables become dataset revisions: immutable Parquet files, a schema and a digest over the rows."""
