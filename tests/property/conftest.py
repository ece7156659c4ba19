"""How long property tests may take: examples are bounded, single examples are not timed on a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "repository", deadline=None, max_examples=40, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repository")
