import pytest

from gesta.schema import UnknownName
from gesta.train.samples import read_classes, read_samples, release_hash


def test_classes_without_an_example_are_left_out(release):
    assert [row.class_id for row in read_classes(release)] == [3, 7]


def test_unlabelled_persons_are_negatives_for_what_was_asked_and_doubtful_for_the_rest(release):
    samples, rejects = read_samples(release, split="train", class_ids=[3, 7], unasked_weight=0.25)
    assert rejects == []
    assert [sample.clip_id for sample in samples] == sorted(sample.clip_id for sample in samples)
    first, last = samples[0], samples[-1]
    assert first.person_ids == (0, 1)
    assert first.targets_NK.tolist() == [[1, 0], [0, 0]]
    assert first.weights_NK.tolist() == [[1, 1], [1, 0.25]]
    assert last.targets_NK.tolist() == [[0, 1]]
    assert first.path.is_file()


def test_labelled_persons_alone_on_request(release):
    samples, _ = read_samples(release, split="train", class_ids=[3, 7], persons="labelled")
    assert [len(sample.person_ids) for sample in samples] == [1] * 6


def test_typos_list_the_choices(release):
    with pytest.raises(UnknownName, match=r"no split 'tests'.*There are: test, train"):
        read_samples(release, split="tests", class_ids=[3])
    with pytest.raises(UnknownName, match="There are: detected, labelled"):
        read_samples(release, split="test", class_ids=[3], persons="all")


def test_the_hash_is_that_of_the_manifest(release):
    assert release_hash(release) == release_hash(release)
