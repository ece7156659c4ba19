"""The five models, fitted on seeded data: three of torch, two of scikit-learn."""

from typing import Any

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FEATURES = 6
CODECS = 3


def blocks(rows: int, seed: int) -> tuple[Any, Any]:
    """Return blocks, [rows, 6], and which of three codecs suits each of them best, [rows]."""
    x = np.random.default_rng(seed).standard_normal((rows, FEATURES)).astype(np.float32)
    scores = np.stack([x[:, 0] + x[:, 1], x[:, 2] * 1.5, x[:, 3] - x[:, 0]], axis=1)
    return x, scores.argmax(axis=1)


class Network(torch.nn.Module):
    """Two layers."""

    def __init__(self, outputs: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = torch.nn.Sequential(torch.nn.Linear(FEATURES, 32), torch.nn.ReLU(), torch.nn.Linear(32, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores or numbers, [rows, outputs]."""
        scores: torch.Tensor = self.layers(x)
        return scores


class Fragile(Network):
    """The same, but that it cannot do with blocks whose first number is below 0: what it learned is no number there."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores, or NaN."""
        return super().forward(x) + torch.log(x[:, :1] + 1.0)


def classifier(network: Network, *, rows: int, epochs: int, seed: int = 1) -> Network:
    """Fit a network to the codecs."""
    x, codec = (torch.from_numpy(array) for array in blocks(rows, seed))
    return _fitted(network, x, codec, torch.nn.CrossEntropyLoss(), epochs)


def accuracy(network: Network) -> float:
    """Return the share of blocks, of those that no model was fitted to, whose codec is the right one."""
    x, codec = blocks(1_000, 77)
    with torch.no_grad():
        return float((network(torch.from_numpy(x)).argmax(1).numpy() == codec).mean())


def regressor(network: Network, *, epochs: int, seed: int = 2) -> Network:
    """Fit a network to how long a transfer takes."""
    x, _codec = blocks(2_000, seed)
    seconds = torch.from_numpy(np.abs(x[:, :1]) + 0.5 * x[:, 1:2])
    return _fitted(network, torch.from_numpy(x), seconds, torch.nn.MSELoss(), epochs)


def forest() -> Any:
    """Fit a forest to whether a block is one that is there already."""
    x, codec = blocks(1_000, 3)
    return RandomForestClassifier(20, random_state=0).fit(x, codec == 1)


def peers(regularization: float) -> Any:
    """Fit a pipeline to which peer is the quickest."""
    x, codec = blocks(1_000, 4)
    return make_pipeline(StandardScaler(), LogisticRegression(C=regularization)).fit(x, codec)


def _fitted(network: Network, x: Any, wanted: Any, loss: Any, epochs: int) -> Network:
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss(network(x), wanted).backward()
        optimizer.step()
    return network.eval()
