"""What runs on AWS or talks to it; the only place that knows boto3."""
