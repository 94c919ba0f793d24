"""Recognition: pictures become directions, close to one another where they show the same. What is compared later need
not have been learned: `Recognition` is the task for `train.fit`, `Embedder` its network, `Features` what it gives."""

from .features import Features, Index
from .network import Embedder
from .samples import Turned
from .task import Recognition, Verification

__all__ = ["Embedder", "Features", "Index", "Recognition", "Turned", "Verification"]
