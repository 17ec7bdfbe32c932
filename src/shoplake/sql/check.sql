-- check: which lines of one source file meet the contract, and their typed columns.
-- grain: one row a line, in the file's order
-- input: {lines} with the nine fields as text; {more} columns to give beside
-- dialect: DuckDB; the casts are declared in contract.py
WITH lines AS (
    SELECT *,
        {casts}
    FROM {lines}
)
SELECT
    {typed},
    {accepted} AS accepted,
    {more}
FROM lines
