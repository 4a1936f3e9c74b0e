"""Who says what a file is: keys and signatures (minisign's, gpg's), checksums, signed statements."""
