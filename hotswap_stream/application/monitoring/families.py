"""What was answered, as metrics."""

from collections.abc import Iterator

from hotswap_stream.application.monitoring.answered import Answered, Durations
from hotswap_stream.observability import metrics as catalogue
from hotswap_stream.observability.metric_spec import Distribution, Family, HistogramSample, Sample


def answer_families(answered: Answered) -> Iterator[Family]:
    """Yield what was answered, under the names of this product and of others."""
    versions = catalogue.ANSWER_DURATION
    series = [
        (versions.labelled(model_name, model_version), model_name, model_version, found)
        for model_name, model_version, found in answered.series()
    ]
    yield Family(catalogue.ANSWERS, _answers(answered))
    yield Family(catalogue.ANSWER_ERRORS, _errors(answered))
    computed = [each for each in series if any(each[3].compute.counts)]
    yield Family(catalogue.ANSWER_DURATION, [(labels, found.total.distribution()) for labels, _, _, found in computed])
    yield Family(
        catalogue.COMPUTE_DURATION, [(labels, found.compute.distribution()) for labels, _, _, found in computed]
    )
    yield Family(catalogue.QUEUE_DURATION, [(labels, found.queue.distribution()) for labels, _, _, found in computed])
    yield Family(catalogue.BATCH_ROWS, [(labels, found.rows.distribution()) for labels, _, _, found in computed])
    beyond = catalogue.BEYOND_LIMIT
    yield Family(beyond, [(beyond.labelled(label), count) for label, count in answered.beyond.items()])
    yield Family(catalogue.KSERVE_PREDICT, _of_models(answered))
    success, failure = catalogue.MLSERVER_SUCCESS, catalogue.MLSERVER_FAILURE
    yield Family(
        success,
        [
            (success.labelled(model_name, version), sum(n for role, n in found.answers.items() if role != "shadow"))
            for _, model_name, version, found in series
        ],
    )
    yield Family(
        failure,
        [
            (failure.labelled(model_name, version), sum(n for (role, _), n in found.errors.items() if role != "shadow"))
            for _, model_name, version, found in series
        ],
    )


def _answers(answered: Answered) -> Iterator[Sample]:
    labelled = catalogue.ANSWERS.labelled
    for model_name, model_version, found in answered.series():
        for role, count in found.answers.items():
            yield labelled(model_name, model_version, role), count


def _errors(answered: Answered) -> Iterator[Sample]:
    labelled = catalogue.ANSWER_ERRORS.labelled
    for model_name, model_version, found in answered.series():
        for (role, code), count in found.errors.items():
            yield labelled(model_name, model_version, role, code), count


def _of_models(answered: Answered) -> Iterator[HistogramSample]:
    labelled = catalogue.KSERVE_PREDICT.labelled
    for model_name, model in answered.models.items():
        all_of_it = [version.compute for version in model.versions.values()]
        if any(any(each.counts) for each in all_of_it):
            yield labelled(model_name), _together(all_of_it)


def _together(durations: list[Durations]) -> Distribution:
    counts = tuple(map(sum, zip(*(each.counts for each in durations), strict=True)))
    return Distribution(counts, sum(each.total for each in durations))
