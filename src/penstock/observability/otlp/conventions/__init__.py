"""What programs call the things that we have a word for: one file per convention, as data."""
