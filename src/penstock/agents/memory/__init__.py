"""What agents remember: threads with people, and long-term memory of a person, a team, or the agent itself."""
