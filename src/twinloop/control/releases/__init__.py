"""What is live: releases pin revisions, pass gates, roll out, and roll back. Nothing else moves what is live."""
