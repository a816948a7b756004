"""What to do about the load: a pure policy from observations to a replica count. Takes `now` as an argument."""
