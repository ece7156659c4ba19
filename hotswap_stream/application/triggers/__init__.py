"""What starts training runs: schedules, drift, quality, data and people; and what becomes of the versions."""
