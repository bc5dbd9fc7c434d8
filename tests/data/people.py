"""Nights of several people, for splits: one prepared night under many names."""

from dataclasses import replace


def of_people(night, *people, dataset=""):
    """A night of each of the people; of a dataset with its name before all ids."""
    before = f"{dataset}-" if dataset else ""
    return [
        replace(night, id=f"{before}night-{i}", person=f"{before}{person}", dataset=dataset)
        for i, person in enumerate(people)
    ]


def people_of(split):
    """Who is in each part of a split."""
    return {name: {part.night.person for part in parts} for name, parts in split.items()}
