"""Seeded choices with planted taste, and a recommender by alternating least squares on them."""

from typing import Any

import numpy as np
import torch

USERS, FILMS, KINDS = 300, 120, 6
FIRST = 10
CONFIDENCE, REGULARIZATION = 20.0, 0.05


class Taste:
    """Who likes which kind of film; film n is of kind n modulo 6."""

    def __init__(self, seed: int = 7) -> None:
        self._random = np.random.default_rng(seed)
        self.kind = self._random.integers(0, KINDS, USERS)

    def choice(self, user: int) -> int:
        """Return a film that the user chooses: mostly of his kind."""
        own = self._random.random() < 0.85
        kind = self.kind[user] if own else self._random.integers(0, KINDS)
        return int(kind + KINDS * self._random.integers(0, FILMS // KINDS))

    def choices(self, each: int) -> Any:
        """Return who chose what, [users, films]: 1 or 0."""
        chosen = np.zeros((USERS, FILMS))
        for user in range(USERS):
            chosen[user, [self.choice(user) for _ in range(each)]] = 1
        return chosen

    def relevance(self) -> Any:
        """Return what is right for each user, [users, films]."""
        return (np.arange(FILMS) % KINDS == self.kind[:, None]).astype(np.float64)


class Recommender(torch.nn.Module):
    """Scores of all films for a user; the ten highest are what he is shown."""

    def __init__(self, users: Any, films: Any) -> None:
        super().__init__()
        self.users = torch.nn.Parameter(torch.from_numpy(users.astype(np.float32)))
        self.films = torch.nn.Parameter(torch.from_numpy(films.T.astype(np.float32).copy()))

    def forward(self, user: torch.Tensor) -> torch.Tensor:
        """Users [rows, 1] → scores [rows, films]."""
        scores: torch.Tensor = torch.nn.functional.embedding(user[:, 0], self.users) @ self.films
        return scores


def fitted(chosen: Any, *, factors: int, turns: int, seed: int = 0) -> Recommender:
    """Fit by alternating least squares on implicit choices (Hu, Koren and Volinsky, 2008)."""
    random = np.random.default_rng(seed)
    users, films = (random.normal(0.0, 0.1, (count, factors)) for count in chosen.shape)
    for _ in range(turns):
        users = _solved(chosen, films)
        films = _solved(chosen.T, users)
    return Recommender(users, films).eval()


def _solved(chosen: Any, other: Any) -> Any:
    base = other.T @ other + REGULARIZATION * np.eye(other.shape[1])
    rows = []
    for row in chosen:
        traits = other[row > 0]
        rows.append(np.linalg.solve(base + CONFIDENCE * traits.T @ traits, traits.T.sum(axis=1) * (1.0 + CONFIDENCE)))
    return np.stack(rows)
