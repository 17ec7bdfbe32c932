-- reasons: why lines are quarantined; run only over those that check.sql turned down.
-- grain: one row a line
-- input: {lines} with position, problem, nested, extra and the nine fields as text
-- dialect: DuckDB; the rules are declared in contract.py
WITH lines AS (
    SELECT *,
        {casts}
    FROM {lines}
)
SELECT
    position,
    {typed},
    extra,
    {reasons} AS reasons
FROM lines
