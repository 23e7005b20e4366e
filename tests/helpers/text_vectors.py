"""Serialised rows with vectors of texts, as a user's transformer would give them."""

from dataclasses import replace


def with_vectors(rows, *vectors):
    """Rows whose text fields have vectors (n_rows, d), in order."""
    given = iter(vectors)
    fields = [
        replace(field, vectors=next(given)) if field.kind == "text" else field
        for field in rows.fields
    ]
    return replace(rows, fields=tuple(fields))
