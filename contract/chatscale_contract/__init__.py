"""The contract between the programs: names, formats and numbers that more than one of them uses. No I/O.

Each folder is one interface. A name or number that two programs must agree on is defined here once, and
`tests/contract` proves that both sides use it.
"""
