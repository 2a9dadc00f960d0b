"""Who is calling: organisations, teams, projects, people and their keys."""
