"""What goes wrong in a way that the person at the terminal can mend."""


class InputError(Exception):
    """A file or a flag cannot be used; the message says which, what was expected and what was found."""
