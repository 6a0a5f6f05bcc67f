"""Store what crowd-kit says of published crowds. Run in an environment with crowd-kit 1.4.2: python make.py FOLDER

FOLDER holds `bluebird_crowd.txt`, `bluebird_truth.txt`, `dog_crowd.txt` and `dog_truth.txt`.
"""

import json
import sys
from pathlib import Path

import numpy as np


def case(folder: Path, name: str, *, num_known: int, num_iterations: int) -> dict:
    """Posteriors and priors of one crowd after so many steps, the first `num_known` true answers given."""
    # Here, so that the file can be read where crowd-kit is not.
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    votes, truth = (
        pd.read_csv(folder / f"{name}_{part}.txt", sep="\t", header=None, names=columns, dtype=str)
        for part, columns in (("crowd", ["task", "worker", "label"]), ("truth", ["task", "truth"]))
    )
    known = truth.drop_duplicates().set_index("task")["truth"].iloc[:num_known]
    found = DawidSkene(n_iter=num_iterations, tol=-np.inf).fit(votes, true_labels=known if num_known else None)
    answers = sorted(found.probas_.columns)
    rows = zip(found.probas_.index, found.probas_[answers].to_numpy(), strict=True)
    return {
        "crowd": name,
        "num_known": num_known,
        "num_iterations": num_iterations,
        "answers": answers,
        "priors": [float(prior) for prior in found.priors_[answers]],
        "posteriors": {str(task): [round(float(chance), 12) for chance in row] for task, row in rows},
    }


def main() -> None:
    """Write `crowdkit.json` beside this file."""
    folder = Path(sys.argv[1])
    cases = [
        case(folder, name, num_known=num_known, num_iterations=20)
        for name, num_known in (("bluebird", 0), ("bluebird", 30), ("dog", 0))
    ]
    text = json.dumps({"program": "crowd-kit 1.4.2", "cases": cases}, separators=(",", ":"))
    Path(__file__).with_name("crowdkit.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
