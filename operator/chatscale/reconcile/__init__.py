"""Makes the cluster match the custom resources: a controller that runs passes, and one package of passes per kind."""
