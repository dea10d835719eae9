"""WISDM activity prediction, v1.1 (Kwapisz et al., SIGKDD Explorations 12(2):74, 2011): a phone in the pocket.

``WISDM_ar_v1.1_raw.txt`` holds all rows of 36 people: ``user,activity,timestamp,x,y,z;`` at 20 Hz, in m/s^2. Some time
stamps are 0 and some rows are damaged, so the rate counts, not the stamps; a damaged row ends a stretch.
"""

from __future__ import annotations

from ditmos.datasets.importers.options import Options

OPTIONS = Options(
    pattern="*_raw.txt",
    subject_column="1",
    label_column="2",
    columns=("4", "5", "6"),
    names=("acc_x", "acc_y", "acc_z"),
    time_column="none",
    separator=",",
    rate=20.0,
    own_units=("m/s^2",),
    window="10s",
    hop="10s",
)
