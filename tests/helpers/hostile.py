"""Saved folders as a stranger would change them, who knows the format: digests included."""

import hashlib
import json


def seal(folder):
    """Write the digests of what is there now."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in paths
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def change_record(folder, change):
    """Edit the record in place, or return another."""
    path = folder / "estimator.json"
    record = json.loads(path.read_text())
    changed = change(record)
    path.write_text(json.dumps(record if changed is None else changed))
    seal(folder)


def model_parts(record):
    """What the record says of the model, by name; a part of the record."""
    return record["model"]["dict"]


def fitted_parts(record):
    """What the record says of the fitted parts, by name; a part of the record."""
    return record["state"]["fitted_"]["object"][1]


def change_model(folder, /, **changes):
    """Give entries of the model's record other structures."""
    change_record(folder, lambda record: model_parts(record).update(changes))
