"""Foreign documents become text with a heading tree, and text becomes chunks with exact character spans."""
