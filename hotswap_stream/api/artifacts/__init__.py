"""Artifacts: uploads, the policy by which versions are judged, the clean-up of old ones."""
