"""What ``spark-submit`` runs: the command line, in the Spark that it has started.

    spark-submit ... jobs/spark_submit.py ingest --engine spark --source s3://BUCKET/events --lake s3://BUCKET/lake

It takes a file whose name ends in ``.py``; the command that pip installs has no such name. docs/spark.md has the whole command.
"""

from shoplake.cli.main import main

if __name__ == "__main__":
    main()
