"""The Fréchet distance: how far two clouds of points are from each other, taken as normal distributions."""

from __future__ import annotations

import numpy as np

from ...errors import DataError, ShapeError


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """|μ_x - μ_y|² + trace(Σ_x + Σ_y - 2 (Σ_x Σ_y)^½)   of rows x (N, D) and y (M, D)

    with means μ and covariances Σ: 0 where both are alike. Of few rows it comes out larger than of many, so only
    distances between equally many are comparable.

    Raises ShapeError for what are no rows of equal length, DataError for fewer than two, or numbers not finite."""
    x, y = (np.asarray(rows, np.float64) for rows in (x, y))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ShapeError(f"frechet_distance: expected rows (N, D) and (M, D), got {x.shape} and {y.shape}")
    if min(len(x), len(y)) < 2:
        raise DataError(f"frechet_distance: {len(x)} and {len(y)} rows; a spread needs at least two")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("frechet_distance: there are numbers that are not finite")
    spread_x, spread_y = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (x, y))
    # The trace of (Σ_x Σ_y)^½ is the sum of the roots of the eigenvalues of Σ_x Σ_y, which are those of the symmetric
    # Σ_x^½ Σ_y Σ_x^½: real, and from 0 on, so nothing but roots of eigenvalues is needed.
    root = _root(spread_x)
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ spread_y @ root), 0)).sum()
    apart = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return float(max(apart + np.trace(spread_x) + np.trace(spread_y) - 2 * shared, 0.0))


def _root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric square root of a symmetric matrix without negative eigenvalues, but for rounding."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
