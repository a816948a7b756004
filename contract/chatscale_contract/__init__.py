"""What the programs share: names on the wire and data that more than one of them reads. Nothing here does I/O.

Each folder belongs to one interface. A name or number that two programs must agree on stands here once, and
`tests/contract` proves that both ends use it.
"""
