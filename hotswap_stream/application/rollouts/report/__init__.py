"""How the arms of a rollout do, as figures and as a picture."""
