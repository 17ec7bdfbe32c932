-- dedupe_stored: which candidate rows are equal, in all nine fields, to a stored event.
-- grain: one row a duplicate
-- input: candidates with file_order, position, source_file and the nine typed fields; stored, events of other files
-- dialect: shared by DuckDB and Spark SQL
SELECT new.file_order, new.position, new.source_file, min(old.source_file) AS first_source_file
FROM candidates AS new
JOIN stored AS old
    ON new.event_time IS NOT DISTINCT FROM old.event_time
    AND new.user_id IS NOT DISTINCT FROM old.user_id
    AND new.session_id IS NOT DISTINCT FROM old.session_id
    AND new.event_type IS NOT DISTINCT FROM old.event_type
    AND new.product_id IS NOT DISTINCT FROM old.product_id
    AND new.category IS NOT DISTINCT FROM old.category
    AND new.quantity IS NOT DISTINCT FROM old.quantity
    AND new.price IS NOT DISTINCT FROM old.price
    AND new.search_query IS NOT DISTINCT FROM old.search_query
GROUP BY new.file_order, new.position, new.source_file
