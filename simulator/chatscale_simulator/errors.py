"""Errors that the user can fix."""


class InputError(Exception):
    """A file or a flag cannot be used; the message says which, what was expected and what was found."""
