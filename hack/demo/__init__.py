"""`python -m hack.demo`: the whole product in one run, as `make demo` calls it."""
