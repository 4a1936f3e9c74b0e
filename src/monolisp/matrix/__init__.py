"""Many builds: programs × targets × SBCL versions, side by side; one that fails does not stop the rest."""
