"""The flow of one turn: understand, find or call, compose, check, answer."""
