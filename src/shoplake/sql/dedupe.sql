-- dedupe: which candidate rows are equal, in all nine fields, to one that comes first.
-- grain: one row a duplicate
-- input: candidates with file_order, position, source_file and the nine typed fields
-- dialect: shared by DuckDB, Spark SQL and Trino; PARTITION BY takes two NULLs as equal
SELECT file_order, position, source_file, first_source_file
FROM (
    SELECT
        file_order,
        position,
        source_file,
        row_number() OVER same_event AS occurrence,
        first_value(source_file) OVER same_event AS first_source_file
    FROM candidates
    WINDOW same_event AS (
        PARTITION BY event_time, user_id, session_id, event_type, product_id, category, quantity, price, search_query
        ORDER BY file_order, position
    )
) AS ranked
WHERE occurrence > 1
