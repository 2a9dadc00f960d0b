"""MLflow's model registry: read from its REST API or its folder, and written as such a folder."""
