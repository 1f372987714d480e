# SPDX-License-Identifier: Apache-2.0
"""Retrieval: which item of a gallery is most like a query, how often that is one of the query's
class, and what chance would give.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData


@dataclass(frozen=True)
class Retrieval:
    """right: bool [query], whether the first item retrieved has the query's class.

    chance: the share of such items in the gallery, mean over the queries.

    Interval and p value take queries as independent draws. They are, given encoders, projections
    and gallery; what another chip or other held-out classes would give has to be seen from several
    of these.
    """

    right: NDArray[np.bool_]
    chance: float

    @property
    def accuracy(self) -> float:
        """Share of queries that are right."""
        return float(self.right.mean())

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The exact binomial interval of the accuracy (Clopper & Pearson)."""
        from scipy.stats import binomtest  # local: scipy.stats takes long to load

        found = binomtest(int(self.right.sum()), len(self.right)).proportion_ci(
            confidence, method="exact"
        )
        return float(found.low), float(found.high)

    def p_value(self) -> float:
        """Probability of at least so many right queries by chance, exact binomial.

        Where the share differs from query to query this errs on the safe side, because equal shares
        have the largest variance.
        """
        from scipy.stats import binomtest  # local: scipy.stats takes long to load

        return float(
            binomtest(
                int(self.right.sum()), len(self.right), self.chance, alternative="greater"
            ).pvalue
        )


def retrieve(
    queries: NDArray[Any],
    query_labels: NDArray[np.int64],
    gallery: NDArray[Any],
    gallery_labels: NDArray[np.int64],
) -> Retrieval:
    """The item with the largest dot product for every query; of equal items the first.

    queries, gallery: vectors [item, dimension].

    Raises InvalidData for vectors and labels that do not match, and for vectors that are not
    finite.
    """
    for name, vectors, labels in (
        ("queries", queries, query_labels),
        ("gallery", gallery, gallery_labels),
    ):
        if vectors.ndim != 2 or labels.shape != vectors.shape[:1] or not len(labels):
            raise InvalidData(
                f"{name} {vectors.shape} and labels {labels.shape} are not [item, dimension] "
                "and [item]"
            )
        if not np.isfinite(vectors).all():
            raise InvalidData(f"{name}: vectors must be finite")
    if queries.shape[1] != gallery.shape[1]:
        raise InvalidData(
            f"queries have {queries.shape[1]} dimensions, the gallery {gallery.shape[1]}"
        )
    found = gallery_labels[(queries @ gallery.T).argmax(axis=1)]
    chance = float((query_labels[:, None] == gallery_labels[None, :]).mean())
    return Retrieval(found == query_labels, chance)
