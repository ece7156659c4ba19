"""Which request ended lives of a loop, and what becomes of it."""

from confluent_kafka import KafkaError, KafkaException

from hotswap_stream.workers.inference.requests.quarantine import LIVES_ALONE_MAX, Quarantine
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Unreadable


def entry(offset: int, partition: int = 0) -> Unreadable:
    record = RequestRecord("t", partition, offset, 0, b"key", b"value", [("h", b"x")])
    return Unreadable(record, "wrong-input", "as it was")


def kafka_error(code: int) -> KafkaException:
    return KafkaException(KafkaError(code))


def test_after_an_error_of_ours_requests_are_taken_one_at_a_time_up_to_where_the_life_came() -> None:
    quarantine = Quarantine("m")
    assert not quarantine.careful({0: 0})
    quarantine.life_ended({0: 3, 1: 5}, {0: 9, 1: 5}, None, ZeroDivisionError())
    assert quarantine.careful({0: 3, 1: 5})
    assert quarantine.careful({0: 8, 1: 500})
    assert not quarantine.careful({0: 9, 1: 500})
    assert not quarantine.careful({0: 3}), "it is forgotten once it was passed"


def test_a_request_that_ends_careful_lives_is_an_error_and_then_left_out() -> None:
    quarantine = Quarantine("m")
    quarantine.life_ended({0: 3}, {0: 9}, None, ZeroDivisionError("x"))
    poison, good = entry(4), entry(5)
    for _life in range(LIVES_ALONE_MAX):
        assert quarantine.careful({0: 3})
        assert quarantine.admit(poison) is poison
        quarantine.life_ended({0: 4}, {0: 5}, (0, 4), ZeroDivisionError("x"))
    for _life in range(LIVES_ALONE_MAX):
        admitted = quarantine.admit(poison)
        assert isinstance(admitted, Unreadable)
        assert admitted.code == "request-unreadable"
        assert "it ended the model's loop" in admitted.reason
        assert admitted.record.key is None
        assert quarantine.admit(good) is good
        quarantine.life_ended({0: 4}, {0: 5}, (0, 4), kafka_error(KafkaError.MSG_SIZE_TOO_LARGE))
    assert quarantine.admit(poison) is None
    assert "MSG_SIZE_TOO_LARGE" in quarantine.cause(0, 4)
    assert quarantine.admit(good) is good
    assert quarantine.stepped_over == LIVES_ALONE_MAX + 1


def test_brokers_that_are_away_are_no_requests_fault() -> None:
    quarantine = Quarantine("m")
    for code in (
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._FATAL,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_ENOUGH_REPLICAS,
    ):
        for _life in range(10):
            quarantine.life_ended({0: 3}, {0: 9}, None, kafka_error(code))
            quarantine.life_ended({0: 3}, {0: 4}, (0, 3), kafka_error(code))
    assert not quarantine.careful({0: 3})
    assert quarantine.admit(entry(3)).__class__ is Unreadable
    assert quarantine.stepped_over == 0


def test_a_producer_that_ended_without_saying_by_which_record_makes_careful_and_blames_none() -> None:
    quarantine = Quarantine("m")
    for _life in range(10):
        quarantine.life_ended({0: 3}, {0: 4}, (0, 3), kafka_error(KafkaError._GAPLESS_GUARANTEE))
        assert quarantine.careful({0: 3})
    poison = entry(3)
    assert quarantine.admit(poison) is poison


def test_an_error_beside_the_requests_blames_none() -> None:
    quarantine = Quarantine("m")
    for _life in range(10):
        quarantine.life_ended({0: 3}, {0: 3}, None, OSError("elsewhere"))
        quarantine.life_ended({}, {}, None, OSError("elsewhere"))
    assert not quarantine.careful({0: 3})
