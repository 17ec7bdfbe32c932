"""Fetches the package, once in the life of an environment, and hands it every event."""

import os
import subprocess
import sys
import tempfile
import zipfile

import boto3

FOLDER = tempfile.gettempdir() + "/package"


def handler(event, context):
    if FOLDER not in sys.path:
        unpack(os.environ["PACKAGE"])
        sys.path.insert(0, FOLDER)
    from shoplake.aws import arrival

    return arrival.handle(event, context)


def unpack(package):
    if not package.startswith("s3://"):  # a release
        subprocess.run([sys.executable, "-m", "pip", "install", "-qUt", FOLDER, *package.split(",")], check=True)
        return
    bucket, _, key = package[5:].partition("/")
    with tempfile.TemporaryFile() as file:
        boto3.client("s3").download_fileobj(bucket, key, file)
        zipfile.ZipFile(file).extractall(FOLDER)
