"""The recipe that makes the most of a budget: teachers, a pool of views, one network from which K classifiers grow.

The training itself is `ditmos.training.fit`, where the reasons are. From the configuration it takes the network,
augment, metric and seed; ``strong.schedule.epochs`` for the teachers, ``mixture.schedule.epochs`` for the network
(0: as `FitConfig` says).
"""

from __future__ import annotations

from dataclasses import replace

from ditmos.paper.session import Session
from ditmos.training.fit import FitConfig, fit
from ditmos.training.pool import PoolConfig, build
from ditmos.training.teachers import TeacherConfig
from ditmos.training.views import ViewConfig

_STRETCH = 0.1  # speed differs from person to person, whatever the sensor


def train_best(session: Session) -> None:
    """One epoch in the session's sense: a run that is stopped starts this stage anew."""

    config, train = session.config, session.parts.train
    teacher = TeacherConfig(epochs=config.strong.schedule.epochs)
    student = FitConfig(dropout=config.network.dropout)
    if config.mixture.schedule.epochs:
        student = replace(student, epochs=config.mixture.schedule.epochs)
    # small sets: enough steps in an epoch for the schedule to mean something
    size = 1 << max(len(train) // 8, 8).bit_length() - 1
    teacher = replace(teacher, batch=min(teacher.batch, size))
    student = replace(student, batch=min(student.batch, size))

    def everything(_: int) -> dict[str, float]:
        settings = PoolConfig(
            teacher,
            change=ViewConfig(config.augment, stretch=_STRETCH),
            balanced=config.metric == "balanced",
            seed=config.seed,
        )
        pool, _teachers = build(train, session.network.spec.classes, settings)
        curve: list[tuple[float, float]] = []
        network = fit(session.network.spec, pool, student, config.seed, curve=curve)
        session.network.load_state_dict(network.state_dict())
        return {"loss": curve[-1][1]}

    session.fit("best", 1, [], everything, whole=True)
