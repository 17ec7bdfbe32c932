-- suspects: the candidate rows that may have an equal one; all others have none.
-- grain: one row a candidate
-- input: candidates
-- dialect: Spark SQL, for xxhash64. Only eight bytes of each row travel; the embedded engine finds suspects in numpy.
SELECT candidates.*
FROM candidates
LEFT SEMI JOIN (
    SELECT hash
    FROM (SELECT xxhash64(event_time, user_id, session_id) AS hash FROM candidates) AS hashed
    GROUP BY hash
    HAVING count(*) > 1
) AS repeated
    ON xxhash64(candidates.event_time, candidates.user_id, candidates.session_id) = repeated.hash
