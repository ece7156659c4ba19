"""Careful lives of a loop: one request at a time, after one of them may have ended a life. See `Quarantine`."""

from collections.abc import Mapping

from hotswap_stream.workers.inference.loop.answered_places import AnsweredPlaces
from hotswap_stream.workers.inference.loop.answering import Answering
from hotswap_stream.workers.inference.loop.clients import LifeClients
from hotswap_stream.workers.inference.loop.intake import Intake
from hotswap_stream.workers.inference.places.hand_over import Held
from hotswap_stream.workers.inference.requests.quarantine import Quarantine


class OneAtATime:
    """Answer requests alone, while there is a suspect among them. For the thread of the life."""

    def __init__(
        self,
        quarantine: Quarantine,
        intake: Intake,
        answering: Answering,
        clients: LifeClients,
        answered: AnsweredPlaces,
        worker: str,
    ) -> None:
        self.careful = False
        """Whether requests are taken one at a time."""
        self._alone: tuple[int, int] | None = None
        """Partition and offset of the request that is being answered, while there is but one."""
        self._quarantine = quarantine
        self._intake = intake
        self._answering = answering
        self._clients = clients
        self._answered = answered
        self._held = Held(worker, 0)

    def begin(self, positions: Mapping[int, int]) -> None:
        """Begin with partitions that were assigned. `positions`: where all are that are answered here."""
        self.careful = self._quarantine.careful(positions)

    def drop(self) -> None:
        """Forget the request that is being answered."""
        self._alone = None

    def answer_next(self) -> None:
        """Answer the first of the requests taken, and return when the answer is in its topic. KafkaException.

        One that ended lives gets an error; one whose error ended some, too, gets nothing but a dead letter.
        """
        intake, answered = self._intake, self._answered
        record = intake.entries[0].record
        self._alone = record.partition, record.offset
        entry = self._quarantine.admit(intake.entries.pop(0))
        if entry is None:
            self._clients.letters.send(record, self._quarantine.cause(*self._alone))
            self._clients.letters.flush()
            answered.answered(record.partition, record.offset + 1)
            answered.commit(self._clients.member, self._held, intake.positions, asynchronous=False)
        else:
            self._answering.answer(entry)
            self._clients.sender.flush()
        self._alone = None
        self.careful = self._quarantine.careful(answered.places)

    def life_ended(self, error: Exception) -> None:
        """Tell the quarantine that the life ended by an error, and what was taken and not answered by then."""
        self._quarantine.life_ended(self._answered.places, self._intake.positions, self._alone, error)
