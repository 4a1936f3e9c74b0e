"""What an executable is made of, in the executable itself."""
