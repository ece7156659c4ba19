"""A fleet that was heard of, without a topic."""

from hotswap_stream.application.inference.fleet import FleetFold, FleetWorker


class HeardFleet:
    """A FleetView on a fold, with a clock of its own."""

    def __init__(self) -> None:
        self.known = True
        self.now_s = 1_000.0
        self.fold = FleetFold()

    def workers(self, model_name: str) -> tuple[FleetWorker, ...]:
        return self.fold.workers(model_name, self.now_s)

    def absent_s(self, model_name: str) -> float:
        return self.fold.absent_s(model_name, self.now_s)
