-- The tables as Athena's own statements. Made by infra/ddl.py (make template) from the template and src/shoplake/tables.py.
--
-- The stack needs none of them: it makes raw_events itself, and each run of the job shows Athena the tables of the lake. Run
-- them, one at a time, in another database: raw_events reads the same files there, the others are empty tables of the same
-- shape, for instance for INSERT INTO ... SELECT. Put your StudentId for X, your account's number for ACCOUNT, and a folder
-- of your own for s3://BUCKET/copy.

CREATE EXTERNAL TABLE raw_events (
  `timestamp` string,
  `user_id` string,
  `session_id` string,
  `event_type` string,
  `product_id` string,
  `category` string,
  `quantity` string,
  `price` string,
  `search_query` string
)
PARTITIONED BY (
  `day` string
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES (
  'ignore.malformed.json' = 'true'
)
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://capstone-events-X-ACCOUNT/events/'
TBLPROPERTIES (
  'classification' = 'json',
  'projection.enabled' = 'true',
  'projection.day.type' = 'date',
  'projection.day.format' = "'year='yyyy'/month='MM'/day='dd",
  'projection.day.range' = 'year=2025/month=01/day=01,NOW',
  'storage.location.template' = 's3://capstone-events-X-ACCOUNT/events/${day}/'
);

-- one accepted event
CREATE TABLE events (
  `event_time` timestamp,
  `user_id` string,
  `session_id` string,
  `event_type` string,
  `product_id` string,
  `category` string,
  `quantity` int,
  `price` decimal(12,2),
  `search_query` string,
  `source_file` string,
  `extra` string
)
PARTITIONED BY (hour(event_time))
LOCATION 's3://BUCKET/copy/events/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);

-- one quarantined line
CREATE TABLE quarantine (
  `source_file` string,
  `line_number` bigint,
  `raw` string,
  `encoding` string,
  `reasons` array<string>,
  `arrived_at` timestamp,
  `batch` string
)
PARTITIONED BY (day(arrived_at))
LOCATION 's3://BUCKET/copy/quarantine/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);

-- hour x product x category (searches have neither)
CREATE TABLE product_hourly (
  `event_hour` timestamp,
  `product_id` string,
  `category` string,
  `page_views` bigint,
  `add_to_carts` bigint,
  `removes_from_cart` bigint,
  `purchases` bigint,
  `units_sold` bigint,
  `revenue` decimal(38,2),
  `searches` bigint,
  `events` bigint
)
PARTITIONED BY (day(event_hour))
LOCATION 's3://BUCKET/copy/product_hourly/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);

-- hour x user
CREATE TABLE user_hourly (
  `event_hour` timestamp,
  `user_id` string,
  `page_views` bigint,
  `add_to_carts` bigint,
  `removes_from_cart` bigint,
  `purchases` bigint,
  `searches` bigint,
  `events` bigint,
  `revenue` decimal(38,2)
)
PARTITIONED BY (day(event_hour))
LOCATION 's3://BUCKET/copy/user_hourly/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);

-- hour x session
CREATE TABLE session_hourly (
  `event_hour` timestamp,
  `session_id` string,
  `user_id` string,
  `first_event_time` timestamp,
  `last_event_time` timestamp,
  `page_views` bigint,
  `add_to_carts` bigint,
  `removes_from_cart` bigint,
  `purchases` bigint,
  `searches` bigint,
  `events` bigint,
  `revenue` decimal(38,2)
)
PARTITIONED BY (day(event_hour))
LOCATION 's3://BUCKET/copy/session_hourly/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);

-- day
CREATE TABLE activity_daily (
  `event_date` date,
  `unique_users` bigint,
  `unique_sessions` bigint,
  `events` bigint
)
PARTITIONED BY (month(event_date))
LOCATION 's3://BUCKET/copy/activity_daily/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);

-- the ingested version of one source file
CREATE TABLE ledger (
  `source_file` string,
  `version` string,
  `bytes` bigint,
  `status` string,
  `error` string,
  `lines` bigint,
  `accepted` bigint,
  `duplicates` bigint,
  `quarantined` bigint,
  `erased` bigint,
  `unknown_keys` string,
  `duplicates_of` array<string>,
  `min_event_time` timestamp,
  `max_event_time` timestamp,
  `arrived_at` timestamp,
  `batch` string,
  `engine` string,
  `seconds` double
)
PARTITIONED BY (month(arrived_at))
LOCATION 's3://BUCKET/copy/ledger/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);

-- one erased person
CREATE TABLE erasures (
  `user_hash` string,
  `salt` string,
  `erased_at` timestamp,
  `request` string
)
PARTITIONED BY (month(erased_at))
LOCATION 's3://BUCKET/copy/erasures/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);

-- session, over all its hours: a view; run this one in the stack's own database to have it there
CREATE OR REPLACE VIEW sessions AS
SELECT
    session_id,
    min(user_id) AS user_id,
    min(first_event_time) AS first_event_time,
    max(last_event_time) AS last_event_time,
    CAST(sum(page_views) AS BIGINT) AS page_views,
    CAST(sum(add_to_carts) AS BIGINT) AS add_to_carts,
    CAST(sum(removes_from_cart) AS BIGINT) AS removes_from_cart,
    CAST(sum(purchases) AS BIGINT) AS purchases,
    CAST(sum(searches) AS BIGINT) AS searches,
    CAST(sum(events) AS BIGINT) AS events,
    CAST(sum(revenue) AS DECIMAL(38, 2)) AS revenue
FROM session_hourly
GROUP BY session_id;
