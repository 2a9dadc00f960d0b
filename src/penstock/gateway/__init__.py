"""HTTP in the shapes that clients already speak, the providers behind it, and the way between them."""
