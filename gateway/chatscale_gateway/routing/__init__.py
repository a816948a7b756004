"""Where a request goes: model names, choice of a replica, shares of slots, request outcomes. Pure."""
