"""What every search is made of: a filter's words, its clauses as SQL, and pages that neither shift nor repeat rows.

``reader`` reads text, ``grammar`` is the grammar most searches share, ``comparing`` and ``keyset`` turn clauses and orders
into SQL, and ``page`` is what a search answers with. What can be searched is said where it is kept: a ``Vocabulary``.
"""
