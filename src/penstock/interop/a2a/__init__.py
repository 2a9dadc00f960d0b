"""A2A 1.0 (https://a2a-protocol.org): agents for agents of others, as tasks that are runs."""
