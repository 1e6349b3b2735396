"""What training makes small: a metric loss on unit vectors, and beside it the error of a classifier or pupil.

A metric loss is put together from three independent parts of pytorch-metric-learning: a distance (the
cosine, for all but one), a miner where pairs or triplets are to be chosen, and the loss itself.

References
----------
contrastive: Hadsell, Chopra and LeCun, "Dimensionality reduction by learning an invariant mapping",
CVPR 2006.
triplet: Hermans, Beyer and Leibe, "In defense of the triplet loss for person re-identification", 2017.
triplet-semihard: Schroff, Kalenichenko and Philbin, "FaceNet", CVPR 2015.
ntxent: Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020.
supcon: Khosla et al., "Supervised contrastive learning", NeurIPS 2020.
proxy: Kim et al., "Proxy anchor loss for deep metric learning", CVPR 2020.
arcface: Deng et al., "ArcFace: Additive angular margin loss for deep face recognition", CVPR 2019.
Classifier: Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018; label smoothing by Szegedy
et al., "Rethinking the Inception architecture", CVPR 2016.
"""

from __future__ import annotations

import math

import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import (
    ArcFaceLoss,
    ContrastiveLoss,
    NTXentLoss,
    ProxyAnchorLoss,
    SupConLoss,
    TripletMarginLoss,
)
from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.errors import UsageError

__all__ = ["OBJECTIVES", "CosineClassifier", "Objective", "Pupil", "make_objective"]

#: Names of the metric losses.
OBJECTIVES = ("contrastive", "triplet", "triplet-semihard", "ntxent", "supcon", "proxy", "arcface")

# The margin of pairs is in cosine distance, 1 - cosine: half of the squared Euclidean distance.
CONTRASTIVE_MARGIN = 0.5  # how far pairs that are not alike are pushed apart; linear, where the paper squares
# Of Euclidean distance for the hardest triplets: the gradient of cosine distance, half of its square, fades
# as vectors come close, and they may all end in one place. (A CNN after 750 steps: mean cosine .97 by one,
# .10 by the other.) Of cosine distance for semi-hard ones; FaceNet's 0.2 of squared distance is 0.1 here.
TRIPLET_MARGIN = 0.2
NTXENT_TEMPERATURE = 0.1
SUPCON_TEMPERATURE = 0.1
PROXY_MARGIN, PROXY_SCALE = 0.1, 32.0
ARCFACE_MARGIN = 0.5  # rad
ARCFACE_SCALE = 30.0  # the paper's 64 is for 85,000 classes
CLASSIFIER_SCALE = 20.0  # of the cosines
SMOOTHING = 0.1  # of the classifier's labels

#: A metric loss sees windows of which more than this is the first label's.
HARDLY_MIXED = 0.8

_NEED_CLASSES = ("proxy", "arcface")  # they learn a vector for each class


class CosineClassifier(nn.Module):
    """Cross-entropy of the cosines to one learnt centre a class, for windows that may be mixed of two."""

    def __init__(self, dim: int, n_classes: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(n_classes, dim))

    def forward(self, vectors: Tensor, labels: Tensor, partner_labels: Tensor, share: Tensor) -> Tensor:
        """Compute the mean over a batch; shapes as in :meth:`Objective.forward`."""
        logits = CLASSIFIER_SCALE * vectors @ F.normalize(self.centres, dim=1).T
        first = F.cross_entropy(logits, labels, label_smoothing=SMOOTHING, reduction="none")
        second = F.cross_entropy(logits, partner_labels, label_smoothing=SMOOTHING, reduction="none")
        return (share * first + (1 - share) * second).mean()


class Pupil(nn.Module):
    """How far what can be told from the vectors, by a linear map, is from a teacher's: 1 - cosine."""

    def __init__(self, dim: int, teacher_dim: int) -> None:
        super().__init__()
        self.guess = nn.Linear(dim, teacher_dim)

    def forward(self, vectors: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean over the rows whose target is known, that is not 0; 0 if none is."""
        known = targets.abs().amax(dim=1) > 0
        apart = 1 - F.cosine_similarity(self.guess(vectors), targets, dim=1)
        return (apart * known).sum() / known.sum().clamp(min=1)


class Objective(nn.Module):
    """A metric loss on the windows that are hardly mixed, plus a weighted classifier and a pupil on all.

    Parameters
    ----------
    loss : Module
        ``loss(vectors, labels, chosen)`` → scalar, of pytorch-metric-learning.
    miner : Module, optional
        ``miner(vectors, labels)`` → the chosen triplets, as tuples of indices.
    classifier : CosineClassifier, optional
    classify : float
        Weight of the classifier.
    pupil : Pupil, optional
    distil : float
        Weight of the pupil.

    Notes
    -----
    Its parameters (proxies, centres of classes, the pupil's map), if any, are to be trained along with the
    network's.
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        miner: nn.Module | None = None,
        classifier: CosineClassifier | None = None,
        classify: float = 0.0,
        pupil: Pupil | None = None,
        distil: float = 0.0,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner
        self.classifier = classifier
        self.classify = classify
        self.pupil = pupil
        self.distil = distil

    def forward(
        self,
        vectors: Tensor,
        labels: Tensor,
        partner_labels: Tensor,
        share: Tensor,
        targets: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        vectors : Tensor of float32, shape (n, dim)
            Of length 1.
        labels, partner_labels : Tensor of int64, shape (n,)
            The class of each window and of the one that was mixed into it.
        share : Tensor of float32, shape (n,)
            What part of a window is the first label's, 0–1; 1 where nothing was mixed in.
        targets : Tensor of float32, shape (n, teacher_dim), optional
            For the pupil: of length 1, or 0 where not known.

        Returns
        -------
        Tensor of float32, scalar
            Finite and part of the graph, even where a batch holds nothing to compare: its gradient is then 0.
        """
        pure = share > HARDLY_MIXED
        total = self._metric(vectors[pure], labels[pure])
        if self.classifier is not None:
            total = total + self.classify * self.classifier(vectors, labels, partner_labels, share)
        if self.pupil is not None:
            total = total + self.distil * self.pupil(vectors, targets)
        return total

    def _metric(self, vectors: Tensor, labels: Tensor) -> Tensor:
        if len(labels) == 0:  # of which some losses would make a mean
            return vectors.sum()
        chosen = None if self.miner is None else self.miner(vectors, labels)
        loss: Tensor = self.loss(vectors, labels, chosen)
        return loss


class _ArcFaceLoss(ArcFaceLoss):  # type: ignore[misc]  # the library has no types
    """ArcFace with a finite gradient where a vector is that of its class: the arc cosine has none there."""

    def get_angles(self, cosine_of_target_classes: Tensor) -> Tensor:
        return torch.acos(cosine_of_target_classes.clamp(-1 + 1e-6, 1 - 1e-6))


def make_objective(
    name: str,
    *,
    dim: int,
    n_classes: int,
    classify: float = 0.0,
    distil: float = 0.0,
    teacher_dim: int = 0,
    seed: int = 0,
) -> Objective:
    """Make an objective by the name of its metric loss.

    Parameters
    ----------
    name : str
        One of ``OBJECTIVES``.
    dim : int
        Length of the vectors.
    n_classes : int
        How many classes there are; without labels, how many recordings, each a class of its own.
    classify : float
        Weight of the classifier beside the metric loss; 0 for none.
    distil : float
        Weight of the pupil beside the metric loss; 0 for none.
    teacher_dim : int
        Length of the vectors that a pupil is to tell.
    seed : int
        Of the parameters' first values. The state of torch's own generator stays as it is.

    Raises
    ------
    UsageError
        If there is no such objective, or no class for one that needs classes.
    ValueError
        If a weight is negative, or a pupil has no teacher.

    Examples
    --------
    >>> objective = make_objective("supcon", dim=4, n_classes=3, classify=1.0)
    >>> vectors, labels = F.normalize(torch.eye(4) + 1, dim=1), torch.tensor([0, 0, 1, 2])
    >>> bool(objective(vectors, labels, labels, torch.ones(4)) > 0)
    True
    """
    if name not in OBJECTIVES:
        raise UsageError(f"there is no objective named {name!r}; choose from {', '.join(OBJECTIVES)}")
    if classify < 0:
        raise ValueError(f"the weight of the classifier must be 0 or more, not {classify}")
    if distil < 0 or (distil > 0 and teacher_dim < 1):
        raise ValueError(f"a pupil of weight {distil} cannot learn vectors of {teacher_dim} numbers")
    if n_classes < 1 and (name in _NEED_CLASSES or classify > 0):
        what = f"the objective {name}" if name in _NEED_CLASSES else "a classifier"
        others = ", ".join(other for other in OBJECTIVES if other not in _NEED_CLASSES)
        raise UsageError(
            f"{what} needs classes and there are none; label the clips, or use {others} without a classifier"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loss, miner = _metric_loss(name, dim, n_classes)
        classifier = CosineClassifier(dim, n_classes) if classify > 0 else None
        pupil = Pupil(dim, teacher_dim) if distil > 0 else None
    return Objective(loss, miner=miner, classifier=classifier, classify=classify, pupil=pupil, distil=distil)


def _metric_loss(name: str, dim: int, n_classes: int) -> tuple[nn.Module, nn.Module | None]:
    cosine = CosineSimilarity()
    loss: nn.Module
    miner: nn.Module | None = None
    match name:
        case "contrastive":
            # Given a similarity, the library takes its margins as similarities: 1 is the distance 0.
            loss = ContrastiveLoss(pos_margin=1.0, neg_margin=1 - CONTRASTIVE_MARGIN, distance=cosine)
        case "triplet":
            euclidean = LpDistance(normalize_embeddings=False, p=2)
            miner = BatchHardMiner(distance=euclidean)
            loss = TripletMarginLoss(margin=TRIPLET_MARGIN, distance=euclidean)
        case "triplet-semihard":
            miner = TripletMarginMiner(TRIPLET_MARGIN, type_of_triplets="semihard", distance=cosine)
            loss = TripletMarginLoss(margin=TRIPLET_MARGIN, distance=cosine)
        case "ntxent":
            loss = NTXentLoss(NTXENT_TEMPERATURE, distance=cosine)
        case "supcon":
            loss = SupConLoss(SUPCON_TEMPERATURE, distance=cosine)
        case "proxy":
            loss = ProxyAnchorLoss(n_classes, dim, margin=PROXY_MARGIN, alpha=PROXY_SCALE, distance=cosine)
        case _:
            degrees = math.degrees(ARCFACE_MARGIN)
            loss = _ArcFaceLoss(n_classes, dim, margin=degrees, scale=ARCFACE_SCALE, distance=cosine)
    return loss, miner
