"""Who may see prompts and replies, who did, and how those of one person are taken away: all of it on a trail that shows tampering."""
