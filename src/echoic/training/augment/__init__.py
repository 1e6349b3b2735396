"""Random changes that leave what is heard the same: what a network is to learn to ignore.

:mod:`~echoic.training.augment.waveform` and :mod:`~echoic.training.augment.spectrogram` hold the changes
themselves, pure functions that draw nothing; :mod:`~echoic.training.augment.choice` draws which of them a
window meets, and how strongly.
"""

from echoic.training.augment.choice import Augmentation, Augmenter, Draw
from echoic.training.augment.spectrogram import mixup, stretch

__all__ = ["Augmentation", "Augmenter", "Draw", "mixup", "stretch"]
