"""What a page of the console costs a browser: the first content, the script, the whole of it."""
