"""Persons at key-frames: sets of them from AVA files or releases, batches straight from the films, and what follows."""

from gesta.train.persons.augment import MMACTION2, PYSLOWFAST, WHOLE, PersonAugment
from gesta.train.persons.ava import AvaSource, read_ava_persons
from gesta.train.persons.batches import person_batches
from gesta.train.persons.boxes import PersonBoxes, persons_shown
from gesta.train.persons.examples import (
    PartAccount,
    PersonExample,
    PersonSet,
    join_sets,
    person_set,
    sub_set,
    take_classes,
    take_key_frames,
    take_parts,
)
from gesta.train.persons.prepared import prepare_key_frames, with_prepared
from gesta.train.persons.releases import read_release_persons
from gesta.train.persons.rows import PersonBatch, PersonRow, batch_of, persons_to_model, shown_key_frame
from gesta.train.persons.sampling import key_frame_times
from gesta.train.persons.short_films import shorten_films

__all__ = [
    "MMACTION2", "PYSLOWFAST", "WHOLE", "AvaSource", "PartAccount", "PersonAugment", "PersonBatch", "PersonBoxes",
    "PersonExample", "PersonRow", "PersonSet", "batch_of", "join_sets", "key_frame_times", "person_batches",
    "person_set", "persons_shown", "persons_to_model", "prepare_key_frames", "read_ava_persons", "read_release_persons",
    "shorten_films", "shown_key_frame", "sub_set", "take_classes", "take_key_frames", "take_parts", "with_prepared",
]  # fmt: skip
