"""`python -m hack.demo_shop`: the sample shop on the kind cluster, with a scripted customer and a sale."""
