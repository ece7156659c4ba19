"""`sklearn`: estimators of scikit-learn by name, from a list. Each becomes an ONNX graph, compared with what it was."""

from typing import Any

import numpy as np

from hotswap_stream.adapters.trainers.data import Array, numbers, read_arrays, rows_of
from hotswap_stream.application.observations.row_sketches import RowProfile
from hotswap_stream.application.trainers.built_in import Estimator
from hotswap_stream.application.trainers.job import Trained, TrainingDataError, TrainingJob
from hotswap_stream.application.training.runs import DataProfile

EXAMPLE_ROWS = 200
TRUTHS = ("labels", "target")
CLASSIFIERS = frozenset({"logistic-regression", "random-forest-classifier", "gradient-boosting-classifier"})


def train(job: TrainingJob, parameters: Estimator) -> Trained:
    """Fit on most rows, and measure on those held out."""
    if not job.datasets:
        raise TrainingDataError("name a dataset: scikit-learn's estimators have no data of their own here")
    table, truth = _data(job, classifies=parameters.estimator in CLASSIFIERS)
    order = np.random.default_rng(parameters.seed).permutation(len(truth))
    count = min(len(truth) - 1, max(1, round(len(truth) * parameters.held_out)))
    if count < 1:
        raise TrainingDataError("two rows or more are needed")
    tried, kept = order[:count], order[count:]
    estimator = _estimator(parameters, job.threads)
    job.progress(0, 1)
    try:
        estimator.fit(table[kept], truth[kept])
    except ValueError as error:
        raise TrainingDataError(f"{parameters.estimator} does not take these rows: {error}") from error
    answered = estimator.predict(table[tried])
    figures = _figures(truth[tried], answered, classifies=parameters.estimator in CLASSIFIERS)
    job.progress(1, 1, epoch=1, epochs=1, **figures)
    profile = RowProfile()
    profile.add(table)
    import sklearn

    return Trained(
        model=estimator,
        example=table[kept][:EXAMPLE_ROWS],
        metrics={**figures, "rows": float(len(truth))},
        data_snapshot=job.digests[0],
        environment={"scikit-learn": sklearn.__version__},
        profile=DataProfile(source=", ".join(job.digests)[:500], rows=profile.rows, sketches=profile.sketches()),
    )


def _data(job: TrainingJob, *, classifies: bool) -> tuple[Array, Array]:
    arrays = read_arrays(job.datasets)
    wanted = TRUTHS if classifies else TRUTHS[::-1]
    truth = next((name for name in wanted if name in arrays), None)
    columns = [name for name in arrays if name not in TRUTHS]
    if truth is None or not columns:
        raise TrainingDataError(f"the data hold {sorted(arrays)[:20]}; columns beside labels or target are needed")
    rows = rows_of(arrays, *columns, truth)
    parts = [numbers(arrays, name).reshape(rows, -1) for name in columns]
    found = arrays[truth]
    if found.ndim != 1:
        raise TrainingDataError(f"{truth} has shape {list(found.shape)}; one value a row is needed")
    return np.concatenate(parts, axis=1), found if classifies else numbers(arrays, truth, np.float64)


def _estimator(parameters: Estimator, threads: int) -> Any:
    from sklearn import ensemble, linear_model
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    trees = {"n_estimators": parameters.trees, "max_depth": parameters.depth_max, "random_state": parameters.seed}
    boosted = {**trees, "max_depth": parameters.depth_max or 3, "learning_rate": parameters.learning_rate}
    made: dict[str, Any] = {
        "logistic-regression": lambda: linear_model.LogisticRegression(C=parameters.strength, max_iter=1_000),
        "random-forest-classifier": lambda: ensemble.RandomForestClassifier(**trees, n_jobs=threads),
        "gradient-boosting-classifier": lambda: ensemble.GradientBoostingClassifier(**boosted),
        "linear-regression": lambda: linear_model.LinearRegression(),
        "ridge": lambda: linear_model.Ridge(alpha=parameters.strength),
        "random-forest-regressor": lambda: ensemble.RandomForestRegressor(**trees, n_jobs=threads),
        "gradient-boosting-regressor": lambda: ensemble.GradientBoostingRegressor(**boosted),
    }
    estimator = made[parameters.estimator]()
    linear = parameters.estimator in ("logistic-regression", "linear-regression", "ridge")
    return make_pipeline(StandardScaler(), estimator) if linear and parameters.scaled else estimator


def _figures(truth: Array, answered: Array, *, classifies: bool) -> dict[str, float]:
    if classifies:
        return {"accuracy": float((truth == answered).mean())}
    error = truth - answered
    return {"rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean())}
