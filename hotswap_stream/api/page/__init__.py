"""The dashboard's files, as the package build made them in `assets/`, and how they are served."""
