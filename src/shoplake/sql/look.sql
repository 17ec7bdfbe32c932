-- look: which lines have to be read with care, and the keys of each that the contract does not know.
-- grain: one row a line, in the file's order
-- input: $path of a file of lines; $known names of fields; $odd a pattern of what the JSON reader may forgive or change;
--        $longest line in bytes
-- dialect: DuckDB. A key is a value here and never a name; its value is reached by a JSON pointer.
WITH lines AS (
    SELECT json,
        list_sort(list_distinct(list_filter(json_keys(json), lambda key: NOT list_contains($known, key)))) AS keys
    FROM read_ndjson_objects(
        $path, compression = 'uncompressed', ignore_errors = true, maximum_object_size = $longest
    )
)
SELECT
    keys,
    CASE WHEN len(keys) > 0 THEN nullif(
        '{' || array_to_string(
            list_transform(
                list_filter(keys, lambda key: json_type(json, '/' || replace(replace(key, '~', '~0'), '/', '~1')) <> 'NULL'),
                lambda key: '"' || key || '": '
                    || CAST(json_extract(json, '/' || replace(replace(key, '~', '~0'), '/', '~1')) AS VARCHAR)
            ), ', '
        ) || '}', '{}')
    END AS extra,
    coalesce(
        regexp_matches(json, $odd)
        -- A value of an unknown key is kept as it was written: not 1.50 as 1.5, nor a key twice in an object of its own.
        -- A key that is known but for its case may have been read in place of the known one.
        -- A CASE, because every arm of an OR is evaluated.
        OR CASE WHEN len(keys) > 0 THEN
            regexp_matches(json, '[:,\[]\s*-?[0-9]+\.[0-9]*0[^0-9]') OR regexp_matches(json, '\{.*\{')
            OR list_has_any($known, list_transform(keys, lambda key: lower(key)))
        ELSE FALSE END,
        TRUE
    ) AS odd
FROM lines
