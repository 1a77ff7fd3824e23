"""What lost a reference, noted in the same transaction, to be looked at.

A note that is there already is held rather than left alone: whoever looked at it in this moment would still find the reference,
and drop the note. Who looks passes over what is held.
"""

GARBAGE = (
    "INSERT INTO garbage (digest) {} ORDER BY 1"
    " ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest"
)
LOOSE_ARTIFACTS = (
    "INSERT INTO loose_artifacts (artifact_id) {} ORDER BY 1"
    " ON CONFLICT (artifact_id) DO UPDATE SET artifact_id = excluded.artifact_id"
)
