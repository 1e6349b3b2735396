"""Data sets to train and to measure on: clips with what a folder or a manifest says of them.

A folder whose audio lies in sub-folders has a class per sub-folder, named like it; what lies beside two such
or more has no label and is left out. With audio directly in it and no sub-folders, or one, a folder is not
labelled. A manifest is a table with a header, in UTF-8, one clip a row: ``.csv`` with commas or
``.tsv`` with tabs, fields quoted as CSV has it. Its paths are relative to its own folder.

Clips of one group, a recording that was cut up or a speaker, are alike for reasons that have nothing to do
with their label. To learn from some and be measured on others would flatter, so a group is divided never.
"""

from echoic.datasets.clips import Clip, Columns, Dataset, name_some
from echoic.datasets.dividing import check_trainable, divide
from echoic.datasets.reading import read_dataset

__all__ = ["Clip", "Columns", "Dataset", "check_trainable", "divide", "name_some", "read_dataset"]
