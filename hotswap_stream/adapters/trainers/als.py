"""`als`: a recommender by alternating least squares on implicit choices (Hu, Koren and Volinsky, 2008), in numpy.

An own one of forty lines instead of a package with compiled code: its figures are what the product needs to promise.
"""

import numpy as np

from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.adapters.torch.training.provenance import environment
from hotswap_stream.adapters.trainers.data import Array, numbers, read_arrays, rows_of
from hotswap_stream.application.observations.row_sketches import RowProfile
from hotswap_stream.application.trainers.built_in import Als
from hotswap_stream.application.trainers.job import Trained, TrainingDataError, TrainingJob
from hotswap_stream.application.training.runs import DataProfile

IDS_MAX = 5_000_000
PROFILE_ROWS_MAX = 100_000
SEEDED_USERS, SEEDED_ITEMS, SEEDED_TASTES = 300, 120, 6
HITS_AT = 10
TRIED_USERS_MAX = 2_000


def train(job: TrainingJob, parameters: Als) -> Trained:
    """Train on all choices but one of each user, which the hit rate is measured on."""
    user, item, weight, source = _choices(job, parameters.seed)
    random = np.random.default_rng(parameters.seed)
    tried = _one_of_each(user, random)
    kept = np.ones(len(user), dtype=bool)
    kept[tried] = False
    users, items = int(user.max()) + 1, int(item.max()) + 1
    by_user = _Ratings(user[kept], item[kept], weight[kept], users, parameters.confidence)
    by_item = _Ratings(item[kept], user[kept], weight[kept], items, parameters.confidence)
    tastes = random.normal(0.0, 0.1, (users, parameters.factors))
    traits = random.normal(0.0, 0.1, (items, parameters.factors))
    figures: dict[str, float] = {}
    for turn in range(1, parameters.iterations + 1):
        tastes = by_user.solved(traits, parameters.regularization)
        traits = by_item.solved(tastes, parameters.regularization)
        figures = _hits(tastes, traits, user[tried], item[tried], by_user)
        job.progress(turn, parameters.iterations, epoch=turn, epochs=parameters.iterations, **figures)
    return Trained(
        model=_artifact(tastes, traits),
        metrics={**figures, "rows": float(len(user)), "users": float(users), "items": float(items)},
        data_snapshot=job.digests[0] if job.digests else source,
        environment=environment(),
        profile=_profile(user, item, source),
    )


class _Ratings:
    """Who chose what, by row: for the normal equations of one side."""

    def __init__(self, rows: Array, columns: Array, weight: Array, count: int, confidence: float) -> None:
        order = np.argsort(rows, kind="stable")
        self._columns, self._extra = columns[order], confidence * weight[order]
        self._starts = np.searchsorted(rows[order], np.arange(count + 1))

    def chosen(self, row: int) -> Array:
        """Return the columns of one row."""
        return self._columns[self._starts[row] : self._starts[row + 1]]

    def solved(self, other: Array, regularization: float) -> Array:
        """Return the factors of all rows, given those of the columns."""
        factors = other.shape[1]
        base = other.T @ other + regularization * np.eye(factors)
        found = np.zeros((len(self._starts) - 1, factors))
        for row, (start, end) in enumerate(zip(self._starts[:-1], self._starts[1:], strict=True)):
            if start < end:
                traits, extra = other[self._columns[start:end]], self._extra[start:end]
                left = base + (traits.T * extra) @ traits
                found[row] = np.linalg.solve(left, traits.T @ (1.0 + extra))
        return found


def _hits(tastes: Array, traits: Array, users: Array, items: Array, known: _Ratings) -> dict[str, float]:
    """Return HR@10 and NDCG@10 on the choices held out: what a user chose before is not offered again."""
    hits, gain = 0, 0.0
    step = -(-len(users) // TRIED_USERS_MAX) if len(users) else 1
    taken = range(0, len(users), step)
    for index in taken:
        scores = traits @ tastes[users[index]]
        scores[known.chosen(int(users[index]))] = -np.inf
        place = int((scores > scores[items[index]]).sum())
        if place < HITS_AT:
            hits, gain = hits + 1, gain + 1.0 / np.log2(place + 2.0)
    count = max(1, len(taken))
    return {"hr_at_10": hits / count, "ndcg_at_10": float(gain / count)}


def _one_of_each(user: Array, random: np.random.Generator) -> Array:
    """Return one row of each user who has two or more."""
    order = random.permutation(len(user))
    _, first, counts = np.unique(user[order], return_index=True, return_counts=True)
    return np.sort(order[first[counts > 1]])


def _choices(job: TrainingJob, seed: int) -> tuple[Array, Array, Array, str]:
    if not job.datasets:
        user, item = seeded_choices(seed)
        return user, item, np.ones(len(user)), f"seeded choices, seed {seed}"
    arrays = read_arrays(job.datasets)
    if "item" not in arrays and "labels" in arrays:
        arrays["item"] = arrays["labels"]
    others = [name for name in sorted(arrays) if name not in ("item", "labels", "weight", "user")]
    if "user" not in arrays and len(others) == 1:
        arrays["user"] = arrays[others[0]]
    rows_of(arrays, "user", "item")
    user, item = (_ids(arrays, name) for name in ("user", "item"))
    weight = numbers(arrays, "weight", np.float64).reshape(-1) if "weight" in arrays else np.ones(len(user))
    if len(weight) != len(user) or (weight < 0).any():
        raise TrainingDataError("weight must have as many rows as user, from 0")
    return user, item, weight, ", ".join(job.digests)


def _ids(arrays: dict[str, Array], name: str) -> Array:
    array = arrays[name].reshape(len(arrays[name]), -1)
    if array.shape[1] != 1 or array.dtype.kind not in "iuf":
        raise TrainingDataError(f"{name} is {array.dtype} {list(arrays[name].shape)}; one whole number a row is needed")
    ids = array[:, 0]
    if ids.dtype.kind == "f" and not (np.isfinite(ids).all() and (ids == np.floor(ids)).all()):
        raise TrainingDataError(f"{name} holds numbers that are not whole")
    found = ids.astype(np.int64)
    if found.min() < 0 or found.max() >= IDS_MAX:
        raise TrainingDataError(f"{name} reaches from {found.min()} to {found.max()}; 0 to {IDS_MAX - 1} is needed")
    return found


def seeded_choices(seed: int) -> tuple[Array, Array]:
    """Return users and items with planted taste: who likes a kind of item mostly chooses of that kind."""
    random = np.random.default_rng(seed)
    taste = random.integers(0, SEEDED_TASTES, SEEDED_USERS)
    user = np.repeat(np.arange(SEEDED_USERS), 20)
    own = random.random(len(user)) < 0.85
    kind = np.where(own, taste[user], random.integers(0, SEEDED_TASTES, len(user)))
    item = kind + SEEDED_TASTES * random.integers(0, SEEDED_ITEMS // SEEDED_TASTES, len(user))
    pairs = np.unique(np.stack([user, item], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _artifact(tastes: Array, traits: Array) -> bytes:
    import torch

    arguments = {"users": len(tastes), "items": len(traits), "dimensions": tastes.shape[1]}
    module = build_module("recommender", arguments)
    state = {
        "users.weight": torch.from_numpy(tastes.astype(np.float32)),
        "items.weight": torch.from_numpy(traits.astype(np.float32)),
    }
    module.load_state_dict(state)
    return save_module(module, manifest_of("recommender", arguments))


def _profile(user: Array, item: Array, source: str) -> DataProfile:
    profile = RowProfile()
    rows = np.stack([user, item], axis=1)[:: -(-len(user) // PROFILE_ROWS_MAX)]
    profile.add(rows)
    return DataProfile(source=source[:500] or "choices", rows=profile.rows, sketches=profile.sketches())
